import { describe, expect, test } from "vitest";

import {
  type AppConfig,
  formatProblems,
  parseConfig,
  parseConfigDocument,
} from "../../../origin-gpu/config/config.ts";

const FILE = "/srv/app/postern.toml";

function accepted(text: string): AppConfig {
  const result = parseConfig(text, FILE);
  if (!result.ok) throw new Error(formatProblems(result.problems));
  return result.config;
}

/** All problems, one a line, without the file's name. */
function problemsOf(text: string): string[] {
  const result = parseConfig(text, FILE);
  expect(result.ok).toBe(false);
  if (result.ok) return [];
  return formatProblems(result.problems).replaceAll(`${FILE}:`, "").split("\n");
}

/** A configuration with one endpoint that has these lines; they begin on line 4. */
function endpoint(lines: string): string {
  return `app = "a"\n[[endpoint]]\nfunction = "f"\n${lines}\n`;
}

/** What is wrong with one line of an otherwise right endpoint of this kind. */
function problemsOfKey(line: string, kind = 'asgi = "server:app"'): string[] {
  return problemsOf(endpoint(`${line}\n${kind}`));
}

/** The members of an identity provider that each `oidc` has, in a file and resolved. */
const PROVIDER = 'issuer = "https://id.example", client_id = "chat"';
const RESOLVED = { issuer: "https://id.example", clientId: "chat" };

describe("a right file", () => {
  test("fills in the contract's defaults", () => {
    expect(accepted(endpoint('asgi = "server:app"'))).toEqual({
      app: "a",
      file: FILE,
      directory: "/srv/app",
      endpoints: [
        {
          function: "f",
          kind: { type: "asgi", target: "server:app" },
          requiresProxyAuth: false,
          requiresAppToken: false,
          python: "python3",
          directory: "/srv/app",
          env: {},
          secrets: [],
          maxInputs: 1,
          targetInputs: 1,
          minContainers: 0,
          maxContainers: 1,
          bufferContainers: 0,
          scaledownWindow: 60,
          keepsAwake: { websockets: true, exceptPaths: [] },
          probePaths: [],
          rollout: "auto",
          gpus: [],
          sleep: [],
          wake: [],
          healthInterval: 10,
          warmup: [],
          stallTimeout: 60,
          stopCommand: [],
          retries: { maxRetries: 0, initialDelay: 1, backoffCoefficient: 1, maxDelay: 60 },
          maxPending: 2000,
          maxPendingAsync: 1_000_000,
          onDisconnect: "cancel",
          resultTtl: 604_800,
          lifeSigns: false,
          cors: false,
          startupTimeout: 300,
          timeout: 300,
          maxDuration: 86_400,
          websocketMaxMessage: 33_554_432,
          exitGracePeriod: 30,
          stopSignal: "SIGTERM",
        },
      ],
    });
  });

  test("carries every setting that has an effect", () => {
    const config = accepted(`
      workspace = "ecorp"
      environment = "staging"
      app = "text_to_speech"
      [[endpoint]]
      function = "llm"
      web_server = ["vllm", "serve", "--port", "$PORT"]
      label = "speechify"
      custom_domains = ["api.example.com", "*.example.net"]
      requires_proxy_auth = true
      auth = { jwt = { issuer = "https://id.example", audience = "chat", jwks_url = "https://id.example/jwks" } }
      paths = { allow = ["/v1/*", "/health"], deny = ["/v1/admin"] }
      directory = "sub/dir"
      env = { MODEL = "small", EMPTY = "" }
      secrets = ["huggingface", "database"]
      max_inputs = 32
      target_inputs = 24
      min_containers = 1
      max_containers = 4
      buffer_containers = 2
      scaledown_window = 1200
      keeps_awake = { paths = ["/queue/*"], websockets = false }
      probe_paths = ["/favicon.ico", "/health/*"]
      fallback = { url = "https://a.example", headers = { X-A = "$KEY" }, secrets = ["a"], models = { b = "c" } }
      rollout = "replace"
      gpus = ["H100:2", "A100-80GB", "any:4"]
      sleep = [{ post = "/sleep?level=2" }]
      wake = [{ post = "/wake_up" }, { put = "/reload", body = { method = "x" } }]
      health_interval = 2.5
      warmup = [{ get = "/warm", headers = { X-A = "b" } }]
      stall_timeout = 20
      stop_command = ["docker", "stop", "vllm"]
      retries = { max_retries = 3, max_delay = 20 }
      max_pending = 8
      max_pending_async = 90
      on_disconnect = 2.5
      result_ttl = 60
      cors = { origins = ["https://a.example", "null"], headers = ["X-A"], credentials = true }
      affinity = ["gradio", "header:X-Session"]
      affinity_mode = "hard"
      health_path = "/health?deep=1"
      host_header = "app.example.com"
      startup_timeout = 1800
      timeout = 0x2a
      request_timeout = 2.5
      life_signs = true
      api = "openai"
      max_duration = 3600
      websocket_max_message = 1024
      exit_grace_period = 0.5
      stop_signal = "SIGINT"
      [[endpoint]]
      function = "outside"
      upstream = "http://127.0.0.1:8000/"
    `);
    expect(config).toMatchObject({ workspace: "ecorp", environment: "staging" });
    expect(config.endpoints[0]).toEqual({
      function: "llm",
      kind: { type: "web_server", command: ["vllm", "serve", "--port", "$PORT"] },
      label: "speechify",
      customDomains: ["api.example.com", "*.example.net"],
      requiresProxyAuth: true,
      auth: {
        jwt: {
          issuer: "https://id.example",
          audience: "chat",
          jwksUrl: "https://id.example/jwks",
        },
      },
      paths: { allow: ["/v1/*", "/health"], deny: ["/v1/admin"] },
      requiresAppToken: false,
      python: "python3",
      directory: "/srv/app/sub/dir",
      env: { MODEL: "small", EMPTY: "" },
      secrets: ["huggingface", "database"],
      maxInputs: 32,
      targetInputs: 24,
      minContainers: 1,
      maxContainers: 4,
      bufferContainers: 2,
      scaledownWindow: 1200,
      keepsAwake: { websockets: false, exceptPaths: ["/queue/*"] },
      probePaths: ["/favicon.ico", "/health/*"],
      fallback: {
        url: "https://a.example",
        headers: { "X-A": "$KEY" },
        secrets: ["a"],
        models: { b: "c" },
      },
      rollout: "replace",
      gpus: [{ kind: "H100", count: 2 }, { kind: "A100-80GB", count: 1 }, { count: 4 }],
      sleep: [{ method: "POST", path: "/sleep?level=2", headers: {} }],
      wake: [
        { method: "POST", path: "/wake_up", headers: {} },
        {
          method: "PUT",
          path: "/reload",
          headers: { "content-type": "application/json" },
          body: '{"method":"x"}',
        },
      ],
      healthInterval: 2.5,
      warmup: [{ method: "GET", path: "/warm", headers: { "X-A": "b" } }],
      stallTimeout: 20,
      stopCommand: ["docker", "stop", "vllm"],
      retries: { maxRetries: 3, initialDelay: 1, backoffCoefficient: 2, maxDelay: 20 },
      maxPending: 8,
      maxPendingAsync: 90,
      onDisconnect: 2.5,
      resultTtl: 60,
      cors: { origins: ["https://a.example", "null"], headers: ["X-A"], credentials: true },
      affinity: { rules: ["gradio", "header:X-Session"], mode: "hard" },
      healthPath: "/health?deep=1",
      hostHeader: "app.example.com",
      startupTimeout: 1800,
      timeout: 42,
      requestTimeout: 2.5,
      lifeSigns: true,
      api: "openai",
      maxDuration: 3600,
      websocketMaxMessage: 1024,
      exitGracePeriod: 0.5,
      stopSignal: "SIGINT",
    });
    expect(config.endpoints[1]?.kind).toEqual({ type: "upstream", url: "http://127.0.0.1:8000" });
  });

  test("takes startup_timeout from timeout where it is not set", () => {
    const config = accepted(endpoint('asgi = "s:a"\ntimeout = 7'));
    expect(config.endpoints[0]?.startupTimeout).toBe(7);
  });

  test("knows a WSGI app as one", () => {
    const config = accepted(endpoint('wsgi = "server:create_app"'));
    expect(config.endpoints[0]?.kind).toEqual({ type: "wsgi", target: "server:create_app" });
  });

  test("knows a function with its settings, and lets pages call it", () => {
    const plain = accepted(endpoint('callable = "server:handler"')).endpoints[0];
    expect(plain).toMatchObject({
      kind: { type: "callable", target: "server:handler" },
      cors: true,
    });
    const lines = 'callable = "server:A.b"\nmethod = "POST"\ndocs = false\ncors = false';
    expect(accepted(endpoint(lines)).endpoints[0]).toMatchObject({
      kind: { type: "callable", target: "server:A.b", method: "POST", docs: false },
      cors: false,
    });
  });

  test("gives a container room for a full batch", () => {
    const batch = "batch = { max_batch_size = 16, wait_ms = 20 }";
    const config = (more = "") =>
      accepted(endpoint(`callable = "s:f"\n${batch}\n${more}`)).endpoints[0];
    const policy = { maxBatchSize: 16, waitMs: 20 };
    expect(config()).toMatchObject({ batch: policy, maxInputs: 16, targetInputs: 16 });
    expect(config("max_inputs = 32")).toMatchObject({ maxInputs: 32, targetInputs: 32 });
    expect(problemsOfKey(`${batch}\nmax_inputs = 15`, 'callable = "s:f"')).toEqual([
      expect.stringContaining("must be at least the max_batch_size of batch, 16"),
    ]);
  });

  test("has parameters with their defaults as a query has them", () => {
    const lines = `callable = "s:C"
parameters = { a = { type = "str" }, b = { type = "int", default = -7 }, c = { type = "bool", default = true } }`;
    expect(accepted(endpoint(lines)).endpoints[0]).toMatchObject({
      parameters: {
        a: { type: "str" },
        b: { type: "int", default: "-7" },
        c: { type: "bool", default: "true" },
      },
    });
    for (const wrong of [
      '"int", default = "7"',
      '"int", default = 1.5',
      '"bytes", default = "!"',
    ]) {
      const problems = problemsOf(
        endpoint(`asgi = "s:a"\nparameters = { a = { type = ${wrong} } }`),
      );
      expect(problems).toEqual([
        expect.stringMatching(
          /^5: endpoint\.f\.parameters\.a\.default = .*: must be a value of the/,
        ),
      ]);
    }
  });

  test("takes target_inputs from max_inputs where it is not set", () => {
    const config = accepted(endpoint('asgi = "s:a"\nmax_inputs = 8'));
    expect(config.endpoints[0]?.targetInputs).toBe(8);
  });

  test.each([
    ["gpus = 0", { gpus: [] }],
    ["gpus = 2", { gpus: [{ count: 2 }] }],
    ['gpus = "any"', { gpus: [{ count: 1 }] }],
    ['gpus = "any:2"', { gpus: [{ count: 2 }] }],
    ['gpus = "H100:64"', { gpus: [{ kind: "H100", count: 64 }] }],
    ['gpu_memory = "20GiB"', { gpuMemory: 21_474_836_480 }],
    ['gpu_memory = "0.5 GiB"', { gpuMemory: 536_870_912 }],
    ['gpu_memory = "512MiB"\ngpus = 0', { gpuMemory: 536_870_912 }],
    [
      `auth = { oidc = { ${PROVIDER}, emails = ["ada@a.b", "*@c.d"] } }`,
      { requiresProxyAuth: true, auth: { oidc: { ...RESOLVED, emails: ["ada@a.b", "*@c.d"] } } },
    ],
    [
      `auth = { oidc = { ${PROVIDER}, emails = ["*@a.b"], client_secret = "\${S}", secrets = ["a"], lifetime = 3600 } }`,
      {
        auth: {
          oidc: {
            ...RESOLVED,
            emails: ["*@a.b"],
            clientSecret: "${S}",
            secrets: ["a"],
            lifetime: 3600,
          },
        },
      },
    ],
    ['fallback = { url = "https://a.example/v1" }', { fallback: { url: "https://a.example/v1" } }],
    ['probe_paths = ["/favicon.ico"]', { probePaths: ["/favicon.ico"] }],
    ["keeps_awake = false", { keepsAwake: { websockets: false, exceptPaths: [] } }],
    ['keeps_awake = { paths = ["/a"] }', { keepsAwake: { websockets: true, exceptPaths: ["/a"] } }],
    [
      "retries = 2",
      { retries: { maxRetries: 2, initialDelay: 1, backoffCoefficient: 1, maxDelay: 60 } },
    ],
    [
      'warmup = [{ post = "/a", body = { a = [1] }, headers = { Content-Type = "text/x" } }]',
      {
        warmup: [
          { method: "POST", path: "/a", headers: { "Content-Type": "text/x" }, body: '{"a":[1]}' },
        ],
      },
    ],
    [
      'warmup = [{ put = "/a", body = "text" }]',
      { warmup: [{ method: "PUT", path: "/a", headers: {}, body: "text" }] },
    ],
  ])("%s", (lines, fields) => {
    expect(accepted(endpoint(`asgi = "s:a"\n${lines}`)).endpoints[0]).toMatchObject(fields);
  });
});

describe("a wrong file", () => {
  test("has all its problems told at once, in the order of its lines", () => {
    const text = `workspace = "e corp"
function = "misplaced"
[[endpoint]]
function = "chat"
web_server = [
  "serve",
  8000,
]
max_input = 3
timeout = 0
app = "misplaced too"
env = { PORT = "1" }
`;
    expect(problemsOf(text)).toEqual([
      '1: workspace = "e corp": must be 1 to 64 ASCII letters, digits, dashes, dots and underscores, such as "chat"',
      '1: app is missing: app = "my_app"',
      '2: function = "misplaced": belongs to an endpoint: move it below a line [[endpoint]]',
      "7: endpoint.chat.web_server[1] = 8000: must be text",
      '9: endpoint.chat.max_input = 3: unknown key; did you mean "max_inputs"?',
      "10: endpoint.chat.timeout = 0: must be a number of seconds from 1 to 86400",
      '11: endpoint.chat.app = "misplaced too": belongs to the app: move it above the first [[endpoint]]',
      '12: endpoint.chat.env.PORT = "1": is given to the container by Postern and can\'t be overridden',
    ]);
  });

  test.each([
    ['app = "a', /^1: not valid TOML: ./],
    ["app = 1\napp = 2", /^2: not valid TOML: ./],
    ['app = "a"\n__proto__ = 1', /^2: not valid TOML: ./],
    ['app = "a"', /^1: there is no endpoint: begin each one with a line \[\[endpoint\]\]$/],
    ['app = "a"\nendpoint = []', /^2: endpoint = \[\]: there is no endpoint/],
    [
      'app = "a"\n[endpoint]\nfunction = "f"',
      /^2: endpoint = \{ function = "f" \}: .*in two brackets$/,
    ],
    [
      'app = "a"\n[[endpoints]]\nfunction = "f"',
      /^1: there is no.*\n2: .*did you mean "endpoint"\?$/,
    ],
    ["app = \"a\"\n[[endpoint]]\nasgi = 's:a'", /^2: endpoint\[0\]: function is missing/],
  ])("%j", (text, problem) => {
    expect(problemsOf(text).join("\n")).toMatch(problem);
  });

  test("a name that no URL can be made of is refused, though its characters are right", () => {
    const text = 'workspace = "-"\napp = "__"\n[[endpoint]]\nfunction = "."\nasgi = "s:a"\n';
    const message = "must have a letter or digit, since it becomes a part of URLs";
    expect(problemsOf(text)).toEqual([
      `1: workspace = "-": ${message}`,
      `2: app = "__": ${message}`,
      `4: endpoint.".".function = ".": ${message}`,
    ]);
  });

  test("what stands there is shown as TOML writes it", () => {
    expect(problemsOf(endpoint('asgi = "s:a"\ntimeout = 1979-05-27\nmax_inputs = -inf'))).toEqual([
      expect.stringMatching(/^5: endpoint\.f\.timeout = 1979-05-27: /),
      expect.stringMatching(/^6: endpoint\.f\.max_inputs = -inf: /),
    ]);
  });

  test("an unknown key that resembles none leads to the list", () => {
    expect(problemsOf(`colour = 1\n${endpoint('asgi = "s:a"\ncolour = 1')}`)).toEqual([
      "1: colour = 1: unknown key; docs/configuration.md lists those of an app",
      "6: endpoint.f.colour = 1: unknown key; docs/configuration.md lists those of an endpoint",
    ]);
  });

  test("an endpoint has exactly one kind", () => {
    expect(problemsOf(endpoint(""))).toEqual([
      "2: endpoint.f: must have exactly one of asgi, wsgi, callable, web_server, module, upstream, containers_of, python_function; it has none",
    ]);
    expect(problemsOf(endpoint('asgi = "s:a"\nweb_server = ["x"]'))).toEqual([
      expect.stringMatching(/^2: .*; it has asgi and web_server$/),
    ]);
  });

  test("a module is a file of TypeScript or JavaScript", () => {
    for (const file of ["app.ts", "src/my app.mjs", "app.js", "app.mts"]) {
      const [parsed] = accepted(endpoint(`module = "${file}"`)).endpoints;
      expect(parsed?.kind).toEqual({ type: "module", file });
    }
    for (const file of ["app", "app.py", "app.tsx", "app.cjs", ".ts", "src/", "app.ts:app"]) {
      expect(problemsOf(endpoint(`module = "${file}"`))).toEqual([
        expect.stringMatching(
          /^4: endpoint\.f\.module = .*: must be a file of TypeScript or JavaSc/,
        ),
      ]);
    }
  });

  test("without its kind an endpoint is told all the same what can't go together", () => {
    expect(problemsOf(endpoint('cors = { origins = ["*"], credentials = true }'))).toEqual([
      expect.stringMatching(/^2: endpoint\.f: must have exactly one of /),
      expect.stringMatching(/^4: endpoint\.f\.cors = .*: needs origins by name/),
    ]);
  });

  test.each([
    ["a generated label", "a_b", "", '7: endpoint.a_b.function = "a_b": makes the label x-a-b'],
    ["its own", "other", 'label = "x-a-b"', '8: endpoint.other.label = "x-a-b": makes the label'],
  ])("two functions that meet in one label, by %s", (_, name, label, message) => {
    const text = `app = "x"
[[endpoint]]
function = "a-b"
asgi = "s:a"

[[endpoint]]
function = "${name}"
${label}
asgi = "s:b"`;
    const labelOf = (app: string, functionName: string) =>
      `${app}-${functionName.replaceAll("_", "-")}`;
    const result = parseConfig(text, "x.toml", { labelOf });
    if (result.ok) throw new Error("accepted");
    expect(formatProblems(result.problems)).toContain(`x.toml:${message}`);
    expect(result.problems).toMatchObject([{ message: expect.stringContaining("which a-b has") }]);
  });

  test("two servers can't listen on one port", () => {
    const server = (name: string) =>
      `[[endpoint]]\nfunction = "${name}"\nweb_server = ["x"]\nport = 8000\n`;
    expect(problemsOf(`app = "a"\n${server("f")}${server("g")}`)).toEqual([
      '9: endpoint.g.port = 8000: is the port of f already; put "$PORT" into the command instead, or choose another',
    ]);
  });

  test("two endpoints have neither a function nor a label in common", () => {
    const one = '[[endpoint]]\nfunction = "f"\nasgi = "s:a"\nlabel = "l"\n';
    expect(problemsOf(`app = "a"\n${one}${one}`)).toEqual([
      '7: endpoint[1].function = "f": another endpoint of this app has it already',
      '9: endpoint[1].label = "l": makes the label l, which f has already; give one of the two another label',
    ]);
  });

  test("a value of any depth is shown in part", () => {
    const deep = `x${".a".repeat(5_000)} = 1`;
    expect(problemsOf(`${deep}\n${endpoint('asgi = "s:a"')}`)).toEqual([
      expect.stringMatching(/^1: x = \{ a = \{ a = .{47}…: unknown key/),
    ]);
  });

  test.each(['affinity = "none"', 'affinity = ["none"]'])("%s is no affinity", (line) => {
    const [only] = accepted(endpoint(`asgi = "server:app"\n${line}`)).endpoints;
    expect(only?.affinity).toBeUndefined();
  });

  test("a long value is shown in part", () => {
    const [problem = ""] = problemsOfKey(`health_path = "${"x".repeat(500)}"`);
    expect(problem).toMatch(/= "x{58}…: must be a path/);
  });
});

describe("an endpoint on another one's containers", () => {
  const OWNER =
    'asgi = "s:a"\nmax_inputs = 8\nhealth_path = "/up"\ntimeout = 20\nlabel = "own"\naffinity = "gradio"';

  test("has the other's containers and queue, and its own place at the edge", () => {
    const guest =
      '[[endpoint]]\nfunction = "g"\ncontainers_of = "f"\nrequires_proxy_auth = true\ntimeout = 7\n';
    const [owner, shared] = accepted(endpoint(OWNER) + guest).endpoints;
    expect(shared).toEqual({
      ...owner,
      function: "g",
      label: undefined,
      containersOf: "f",
      requiresProxyAuth: true,
      requiresAppToken: false,
      timeout: 7,
    });
    expect(shared?.startupTimeout).toBe(20);
    expect(shared?.affinity).toEqual({ rules: ["gradio"], mode: "soft" });
  });

  test("says nothing of containers itself, and names an owner; all of it is told at once", () => {
    const guest =
      '[[endpoint]]\nfunction = "g"\ncontainers_of = "h"\nmax_inputs = 2\naffinity = "mcp"\n';
    const other = '[[endpoint]]\nfunction = "h"\ncontainers_of = "g"\n';
    const belongs = "belongs to the function that containers_of names; set it there";
    const owner =
      "must name the function of another endpoint of this app that has containers of its own";
    expect(problemsOf(endpoint(OWNER) + guest + other)).toEqual([
      `12: endpoint.g.containers_of = "h": ${owner}`,
      `13: endpoint.g.max_inputs = 2: ${belongs}`,
      `14: endpoint.g.affinity = "mcp": ${belongs}`,
      `17: endpoint.h.containers_of = "g": ${owner}`,
    ]);
  });
});

describe("where an app may run", () => {
  const second = '[[endpoint]]\nfunction = "g"\nasgi = "s:b"\n';

  test("is said by any of its endpoints", () => {
    const where = 'boxes = ["gpu-*"]\nregion = ["eu"]';
    const config = accepted(endpoint('asgi = "s:a"') + second + where);
    expect(config).toMatchObject({ boxes: ["gpu-*"], region: ["eu"] });
  });

  test("is one place for all of them", () => {
    const text = `${endpoint('asgi = "s:a"\nboxes = ["a"]')}${second}boxes = ["b"]\n`;
    expect(problemsOf(text)).toEqual([
      '9: endpoint.g.boxes = ["b"]: all endpoints of an app run on the same boxes: say the same as f, or leave it out',
    ]);
  });
});

describe("the document that a version keeps", () => {
  test("means what the file meant, from another directory", () => {
    const text = endpoint('asgi = "s:a"\ndirectory = "sub"');
    const parsed = parseConfig(text, FILE);
    if (!parsed.ok) throw new Error("refused");
    const document = JSON.parse(JSON.stringify(parsed.document)) as Record<string, unknown>;
    const result = parseConfigDocument(document, "/elsewhere", "version 3");
    expect(result).toMatchObject({
      ok: true,
      config: { directory: "/elsewhere", endpoints: [{ directory: "/elsewhere/sub" }] },
    });
  });

  test("is refused for what the file would be, without a line", () => {
    const result = parseConfigDocument({ app: 3, extra: 1 }, "/elsewhere", "version 3");
    if (result.ok) throw new Error("accepted");
    expect(formatProblems(result.problems).split("\n")).toEqual([
      expect.stringMatching(/^version 3: app = 3: must be/),
      expect.stringMatching(/^version 3: extra = 1: unknown key/),
      expect.stringMatching(/^version 3: there is no endpoint/),
    ]);
  });
});

describe("a value of the wrong type or out of range", () => {
  test.each([
    ["function = 3", "must be 1 to 128"],
    [`function = "${"f".repeat(129)}"`, "must be 1 to 128"],
    ['asgi = "server.py"', 'must be a module and an attribute of it, such as "server:app"'],
    ['asgi = "server.py:app"', 'a file is named without ".py"'],
    ["web_server = []", "it is empty"],
    ['web_server = "vllm serve"', "must be a command as a list"],
    ['web_server = [""]', "must begin with a program's name or path"],
    ['upstream = "127.0.0.1:8000"', "must be the server's scheme, host and port"],
    ['upstream = "ftp://127.0.0.1"', "must be the server's scheme, host and port"],
    ['upstream = "http://127.0.0.1:8000/api"', "must be the server's scheme, host and port"],
    ['upstream = "http://u:p@127.0.0.1:8000"', "must be the server's scheme, host and port"],
  ])("%s", (line, message) => {
    const text = line.startsWith("function")
      ? `app = "a"\n[[endpoint]]\n${line}\nasgi = "s:a"\n`
      : endpoint(line);
    expect(problemsOf(text)).toEqual([expect.stringContaining(message)]);
  });

  test.each([
    ["port = 0", "must be an integer from 1 to 65535"],
    ["port = 80.5", "must be an integer from 1 to 65535"],
    ["port = nan", "must be an integer from 1 to 65535"],
    ['label = "Speech"', "must be 1 to 63 lower-case letters, digits and dashes"],
    ['label = "speech-"', "must be 1 to 63 lower-case letters, digits and dashes"],
    ['label = "a_b"', "must be 1 to 63 lower-case letters, digits and dashes"],
    [`label = "${"x".repeat(64)}"`, "must be 1 to 63 lower-case letters, digits and dashes"],
    ['directory = ""', "must be the path of a directory"],
    ["env = []", "must be a table of text"],
    ["env = { MODEL = 3 }", 'must be text: write "1" for 1'],
    ['env = { "A=B" = "" }', "must be named with ASCII letters"],
    ['env = { POSTERN_BOX = "" }', "can't be overridden"],
    ["max_inputs = true", "must be an integer from 1 to 100000"],
    ["timeout = 86401", "must be a number of seconds from 1 to 86400"],
    ["timeout = inf", "must be a number of seconds from 1 to 86400"],
    ["startup_timeout = 1979-05-27", "must be a number of seconds from 1 to 86400"],
    ["exit_grace_period = -1", "must be a number of seconds from 0 to 3600"],
    ['stop_signal = "TERM"', 'must be one of "SIGTERM"'],
    ['health_path = "health"', 'must be a path of printable ASCII that starts with "/"'],
    ['health_path = "/a b"', 'must be a path of printable ASCII that starts with "/"'],
    ['requires_proxy_auth = "no"', "must be true or false"],
    ["auth = true", "must be a table with the keys jwt, oidc"],
    ["auth = {}", "must have jwt, oidc or both"],
    [`auth = { oidc = { issuer = "a", client_id = "b", emails = ["*@a.b"] } }`, "must be an http"],
    [`auth = { oidc = { ${PROVIDER}, emails = [] } }`, "must be a list of addresses"],
    [`auth = { oidc = { ${PROVIDER}, emails = ["*"] } }`, "must be a list of addresses"],
    [`auth = { oidc = { ${PROVIDER}, emails = ["*@*.a.b"] } }`, "must be a list of addresses"],
    [
      `auth = { oidc = { ${PROVIDER}, emails = ["*@a.b"], client_secret = "s3cret", secrets = ["a"] } }`,
      'must be "$NAME", a variable',
    ],
    [
      `auth = { oidc = { ${PROVIDER}, emails = ["*@a.b"], client_secret = "$SECRET" } }`,
      "must have client_secret together with the secrets",
    ],
    [
      `auth = { oidc = { ${PROVIDER}, emails = ["*@a.b"], lifetime = 5 } }`,
      "must be a number of seconds from 60 to 2592000",
    ],
    [
      'auth = { jwt = { issuer = "a", audience = "b", jwks_url = "c" } }',
      "must be an http or https URL",
    ],
    [
      'auth = { jwt = { issuer = "a", audience = "b", jwks_url = "https://u:p@a.b/" } }',
      "without credentials",
    ],
    [
      'auth = { jwt = { issuer = "", audience = "b", jwks_url = "https://a.b/" } }',
      "must be the issuer's name",
    ],
    ["paths = {}", "must have allow or deny, such as"],
    ['paths = { deny = "/sleep" }', "must be a list of paths, such as"],
    ["paths = { allow = [] }", "must be a list of paths, such as"],
    ['paths = { deny = ["sleep"] }', "must be a path as the app knows it"],
    ['paths = { deny = ["/%73leep"] }', "must be a path as the app knows it"],
    ['paths = { deny = ["/a/*/b"] }', "must be a path as the app knows it"],
    ['paths = { refuse = ["/a"] }', "unknown key; known are allow, deny"],
    ["gpus = -1", "must be an integer from 0 to 64"],
    ['gpus = "H100:65"', "must be a kind of GPU and how many of it"],
    ['gpu_memory = "20GB"', 'must be an amount of memory, such as "20GiB"'],
    ['gpu_memory = "0GiB"', "must be an amount of memory"],
    ["gpu_memory = 20", "must be an amount of memory"],
    ["scaledown_window = 1", "must be a number of seconds from 2 to 1200"],
    ["max_containers = 0", "must be an integer from 1 to 10000"],
    ['keeps_awake = "no"', "must be true, false or { paths"],
    ['keeps_awake = { paths = ["x"] }', "must be a path of printable ASCII"],
    ["keeps_awake = { sockets = false }", "unknown key; known are paths, websockets"],
    ['rollout = "canary"', 'must be one of "auto", "overlap", "replace"'],
    ["warmup = []", "must be a list of requests, such as"],
    ['warmup = [{ body = "x" }]', "must have exactly one of get, post and put"],
    ['warmup = [{ get = "/a", post = "/b" }]', "must have exactly one of get, post and put"],
    ['warmup = [{ get = "/a", body = "x" }]', "must not be sent by get; use post or put"],
    ['warmup = [{ get = "a" }]', "must be a path of printable ASCII"],
    ['warmup = [{ post = "/a", body = 3 }]', "must be text, or a table that is sent as JSON"],
    ['warmup = [{ get = "/a", headers = { "x y" = "" } }]', "must be an HTTP header name"],
    ['warmup = [{ get = "/a", headers = { x = "a\\nb" } }]', "must be the value of an HTTP header"],
    ["health_interval = 0", "must be a number of seconds from 1 to 3600"],
    ["stall_timeout = 0", "must be a number of seconds from 1 to 86400"],
    ['stop_command = [""]', "must begin with a program's name or path"],
    ['stop_command = "docker stop x"', "must be a command as a list"],
    ["retries = 11", "must be an integer from 0 to 10"],
    [
      "retries = { max_retries = 1, initial_delay = 9, max_delay = 5 }",
      "must not be more than max",
    ],
    ['on_disconnect = "stay"', 'must be "cancel", "keep" or a number of grace seconds'],
    ['affinity = "cookies"', 'must be "none", "cookie", "header:NAME"'],
    ['affinity = ["cookie", "header:"]', 'must be "none", "cookie", "header:NAME"'],
    ["affinity = []", "or a list of them; it is empty"],
    ['affinity_mode = "firm"', 'must be one of "soft", "hard"'],
    [
      "retries = { max_retries = 3, delay = 1 }",
      "delay = 1: unknown key; known are max_retries, ini",
    ],
    ["cors = { origins = [] }", "must be a list of origins"],
    ['cors = "yes"', "must be true, false or {"],
    ['cors = { origins = ["https://a.example/path"] }', "must be an origin: scheme and host"],
    ["websocket_max_message = 33554433", "must be an integer from 1 to 33554432"],
    ["max_pending = -1", "must be an integer from 0 to 1000000"],
    ["request_timeout = true", "must be a number of seconds from 0.001 to 86400, or false"],
    ["request_timeout = 0", "must be a number of seconds from 0.001 to 86400"],
    ['request_timeout = "false"', "must be a number of seconds from 0.001 to 86400, or false"],
    ['host_header = "https://app.example.com"', 'must be "public", "local" or a host name'],
    ['host_header = "a b"', 'must be "public", "local" or a host name'],
    ['api = "anthropic"', 'must be one of "openai"'],
    ["result_ttl = 0", "must be a number of seconds from 1 to 604800"],
    ["gpus = []", "must be a list of kinds"],
    ["gpus = true", 'must be a number from 0 to 64, "any"'],
    ["on_disconnect = -1", "must be a number of seconds from 0 to 86400"],
  ])("%s", (line, message) => {
    const found = problemsOfKey(line, 'web_server = ["x"]');
    expect(found).toHaveLength(1);
    expect(found[0]).toMatch(/^4: endpoint\.f\./);
    expect(found[0]).toContain(message);
  });

  test("a table where other kinds are possible is judged as a table, each mistake by itself", () => {
    const cors =
      'cors = { origins = ["https://a.example", 5], headers = ["x y"], credentials = "yes" }';
    const problems = problemsOfKey(cors);
    expect(problems).toEqual([
      expect.stringMatching(/^4: endpoint\.f\.cors\.origins\[1\] = 5: must be an origin/),
      '4: endpoint.f.cors.headers[0] = "x y": must be an HTTP header name',
      '4: endpoint.f.cors.credentials = "yes": must be true or false',
    ]);
    expect(problemsOfKey("retries = { max_retry = 3 }")).toEqual([
      "4: endpoint.f.retries.max_retries: must be an integer from 0 to 10",
      expect.stringMatching(
        /^4: endpoint\.f\.retries\.max_retry = 3: unknown key; known are max_re/,
      ),
    ]);
    expect(problemsOfKey('gpus = ["H100:2", "H100:0"]')).toEqual([
      expect.stringContaining('gpus[1] = "H100:0": must be a kind of GPU'),
    ]);
  });

  test.each([
    "-r other.txt",
    "-rother.txt",
    "--requirement=other.txt",
    "-c limits.txt",
    "-e .",
    "./wheels/app.whl",
    "/srv/app.whl",
    "fastapi\\nuvicorn",
    " ",
  ])("requirements are lines that stand by themselves, which %j does not", (line) => {
    expect(problemsOfKey(`requirements = ["six", "${line}"]`)).toEqual([
      expect.stringContaining("must be one line that stands by itself"),
    ]);
  });

  test.each([
    "fastapi[standard]>=0.115,<1; python_version >= '3.10'",
    "torch --hash=sha256:0123",
    "--extra-index-url https://wheels.example/cu121",
    "app @ https://example.com/app.whl",
  ])("%j is a requirement", (line) => {
    const { endpoints } = accepted(endpoint(`asgi = "s:a"\nrequirements = ["${line}"]`));
    expect(endpoints[0]?.requirements).toEqual([line]);
  });

  test("python beside requirements is what makes their environment", () => {
    const lines = 'asgi = "s:a"\npython = "python3.12"\nrequirements = ["six"]';
    expect(accepted(endpoint(lines)).endpoints[0]).toMatchObject({
      python: "python3.12",
      requirements: ["six"],
    });
  });

  test("python is a path", () => {
    expect(problemsOfKey('python = " "')).toEqual([
      expect.stringContaining("must be the path of a Python interpreter"),
    ]);
  });
});

describe("settings that are impossible together", () => {
  test.each([
    ['web_server = ["x"]', 'python = "p"', "belongs to asgi, wsgi and callable"],
    ['upstream = "http://a"', 'env = { A = "" }', "starts no process of its own"],
    ['upstream = "http://a"', 'python = "p"', "starts no process of its own"],
    ['upstream = "http://a"', 'stop_signal = "SIGINT"', "starts no process of its own"],
    ['upstream = "http://a"', "exit_grace_period = 3", "starts no process of its own"],
    ['upstream = "http://a"', 'directory = "."', "starts no process of its own"],
    ['upstream = "http://a"', "port = 1", "belongs to web_server"],
    ['asgi = "s:a"', "port = 1", "belongs to web_server"],
    [
      'asgi = "s:a"',
      'cors = { origins = ["*"], credentials = true }',
      "needs origins by name for credentials",
    ],
    ['upstream = "http://a"', "gpus = 1", "starts no process of its own"],
    ['upstream = "http://a"', 'gpu_memory = "1GiB"', "starts no process of its own"],
    ['upstream = "http://a"', "target_inputs = 1", "starts no process of its own"],
    ['upstream = "http://a"', "scaledown_window = 9", "starts no process of its own"],
    ['upstream = "http://a"', "keeps_awake = false", "starts no process of its own"],
    ['upstream = "http://a"', 'warmup = [{ get = "/" }]', "starts no process of its own"],
    ['upstream = "http://a"', "retries = 1", "starts no process of its own"],
    ['asgi = "s:a"', 'stop_command = ["x"]', "belongs to web_server"],
    ['asgi = "s:a"', "health_interval = 10", "needs health_path, the path to ask"],
    ['asgi = "s:a"', "target_inputs = 2", "must not be more than max_inputs"],
    ['asgi = "s:a"', "min_containers = 2", "must not be more than max_containers"],
    ['asgi = "s:a"', "buffer_containers = 2", "must not be more than max_containers"],
    ['asgi = "s:a"', 'sleep = [{ post = "/s" }]', "needs gpus or gpu_memory"],
    ['asgi = "s:a"', "docs = true", "belongs to callable"],
    ['asgi = "s:a"', 'affinity_mode = "hard"', "needs an affinity to keep"],
    ['asgi = "s:a"', 'affinity = ["none"]\naffinity_mode = "hard"', "needs an affinity to keep"],
    ['asgi = "s:a"', 'affinity = ["none", "cookie"]', 'must have no other rule beside "none"'],
    ...["gradio", "mcp", "socket.io", "streamlit", "jupyter"].map((preset) => [
      'asgi = "s:a"',
      `affinity = ["cookie", "${preset}"]`,
      "needs max_inputs of more than 1, such as 100: a",
    ]),
    ['asgi = "s:a"', 'requirements = ["gradio==6.31.0"]', "a Gradio page keeps one request open"],
  ])("%s with %s", (kind, line, message) => {
    expect(problemsOfKey(line, kind)).toEqual([expect.stringContaining(message)]);
  });

  test.each([
    ["port = 8000\nmax_containers = 2", "port = 8000: is one fixed port"],
    ['port = 8000\nrollout = "overlap"', 'rollout = "overlap": is impossible with one fixed port'],
    ['gpus = 1\ngpu_memory = "1GiB"', 'gpu_memory = "1GiB": is a part of one GPU'],
    ['gpus = 1\nsleep = [{ post = "/s" }]', "needs wake"],
    ['gpus = 1\nwake = [{ post = "/w" }]', "needs sleep"],
    ['directory = "../ComfyUI"', "is ComfyUI and needs max_inputs of more than 1"],
    ...["gradio", "mcp", "streamlit", "jupyter", "comfyui"].map((kind) => [
      `app_kind = "${kind}"\naffinity = "cookie"\nmax_inputs = 1`,
      `app_kind = "${kind}": needs max_inputs of more than 1, such as 100: a`,
    ]),
    ["min_containers = 5\nmax_containers = 2", "must not be more than max_containers, which is 2"],
    ["buffer_containers = 5\nmax_containers = 2", "max_containers, which is 2"],
    ["target_inputs = 5\nmax_inputs = 2", "must not be more than max_inputs, which is 2"],
  ])("%s", (lines, message) => {
    const found = problemsOfKey(lines, 'web_server = ["x"]').join("\n");
    expect(found).toContain(message);
  });

  test.each([
    [
      'gpus = "H100:0"\ngpu_memory = "1GiB"\nsleep = [{ post = "/s" }]',
      [
        /: endpoint\.f\.gpus = .*kind/,
        /gpu_memory = .*is a part of one GPU/,
        /sleep = .*needs wake/,
      ],
    ],
    [
      'gpus = -1\nsleep = [{ post = "/s" }]\nwake = [{ post = "w" }]',
      [/gpus = -1: must be/, /wake\[0\]\.post = "w": must be a path/],
    ],
  ])("a mistake hides no other one: %s", (lines, mistakes) => {
    expect(problemsOfKey(lines)).toEqual(mistakes.map((text) => expect.stringMatching(text)));
  });

  test.each([
    ["asgi", 'asgi = "server.py"', 'python = "python3"'],
    ["max_containers", 'asgi = "s:a"', "max_containers = 0\nmin_containers = 2"],
    ["max_inputs", 'asgi = "s:a"', 'max_inputs = "8"\ntarget_inputs = 2'],
    ["port", 'web_server = ["vllm", "serve"]', "port = 0"],
    ["health_path", 'asgi = "s:a"', 'health_path = "up"\nhealth_interval = 5'],
  ])("a mistake of %s makes no second one of what goes with it", (key, kind, lines) => {
    expect(problemsOfKey(lines, kind)).toEqual([expect.stringContaining(`endpoint.f.${key} = `)]);
  });
});

describe("a server whose page keeps a request open, with one place for requests,", () => {
  test.each([
    ["comfy", "launch", "--", "--port", "$PORT"],
    ["sh", "-c", "cd /opt/ComfyUI && python main.py --port $PORT"],
    ["docker", "run", "--network", "host", "yanwk/comfyui-boot:cu124"],
    ["gradio", "app.py"],
  ])("is refused by its command: %s %s", (...command) => {
    expect(problemsOf(endpoint(`web_server = ${JSON.stringify(command)}`))).toEqual([
      expect.stringMatching(/: is (ComfyUI|Gradio) and needs max_inputs of more than 1/),
    ]);
    accepted(endpoint(`web_server = ${JSON.stringify(command)}\nmax_inputs = 2`));
  });
});

describe("a web_server that is told no port", () => {
  test.each([
    ["vllm", "serve", "m"],
    [".venv/bin/vllm", "serve", "m", "--host", "127.0.0.1"],
    ["python3", "-m", "http.server"],
    ["python3.12", "-m", "sglang.launch_server", "--model-path", "m"],
    ["./server", "--port", "8000"],
    ["./server", "--port=8000"],
  ])("is refused: %s %s %s %s", (...command) => {
    expect(problemsOf(endpoint(`web_server = ${JSON.stringify(command)}`))).toEqual([
      expect.stringMatching(/^4: endpoint\.f\.web_server = .*: is not told its port: put "\$PORT"/),
    ]);
  });

  test.each([
    [["vllm", "serve", "--port", "$PORT"], ""],
    [["vllm", "serve", "--port=${PORT}"], ""],
    [["vllm", "serve"], "port = 8000"],
    [["env", "OLLAMA_HOST=127.0.0.1:$PORT", "ollama", "serve"], ""],
    // These may read the variable.
    [["node", "server.ts"], ""],
    [["npm", "start"], ""],
    [["python3", "server.py"], ""],
    [["gunicorn", "server:app"], ""],
    [["docker", "run", "--rm", "-e", "PORT", "--network", "host", "image"], ""],
  ])("%j %s may know it", (command, more) => {
    accepted(endpoint(`web_server = ${JSON.stringify(command)}\n${more}`));
  });
});
