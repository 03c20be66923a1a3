import { describe, expect, test } from "vitest";
import type { AppConfig, EndpointConfig } from "../../../origin-gpu/config/app-config.ts";
import { explainApp } from "../../../origin-gpu/config/explain.ts";
import { ENDPOINT_KEYS, type KeyTable } from "../../../origin-gpu/config/keys.ts";
import { type ConfigResult, parseConfig } from "../../../origin-gpu/config/parse.ts";
import { formatProblems } from "../../../origin-gpu/config/problems.ts";
import { type Preset, PRESETS } from "../../../origin-gpu/config/presets.ts";

const UPSTREAM = 'upstream = "http://127.0.0.1:1"';

function read(...endpoints: readonly string[]): ConfigResult {
  const text = endpoints.map((lines) => `[[endpoint]]\n${lines}`).join("\n");
  return parseConfig(`app = "a"\n${text}\n`, "postern.toml");
}

function accepted(result: ConfigResult): AppConfig {
  if (!result.ok) throw new Error(formatProblems(result.problems));
  return result.config;
}

function endpointOf(lines: string): EndpointConfig {
  const [endpoint] = accepted(read(`function = "f"\n${lines}`)).endpoints;
  if (endpoint === undefined) throw new Error("no endpoint");
  return endpoint;
}

function problemsOf(...endpoints: readonly string[]): string {
  const result = read(...endpoints);
  return result.ok ? "" : formatProblems(result.problems);
}

describe.each(Object.entries<Preset>(PRESETS))("the preset %s", (kind, preset) => {
  test("has values that the file may have", () => {
    const keys: KeyTable = ENDPOINT_KEYS;
    for (const [name, value] of Object.entries(preset)) {
      expect(keys[name]?.schema.safeParse(value)).toMatchObject({ success: true });
    }
  });

  test("is accepted, and sets its keys", () => {
    const endpoint = endpointOf(`${UPSTREAM}\napp_kind = "${kind}"`);
    expect(endpoint.maxInputs).toBe(preset.max_inputs);
    expect(endpoint.healthPath).toBe(preset.health_path);
    expect(endpoint.hostHeader).toBe(preset.host_header);
    expect(endpoint.affinity?.rules).toEqual(preset.affinity && [preset.affinity]);
    expect(endpoint.paths).toEqual(preset.paths);
  });
});

describe("a key of the file wins", () => {
  test("over the preset's, by itself", () => {
    const endpoint = endpointOf(
      `${UPSTREAM}\napp_kind = "ollama"\nhost_header = "public"\nmax_inputs = 4\npaths = { deny = ["/x"] }`,
    );
    expect(endpoint.hostHeader).toBeUndefined();
    expect(endpoint.maxInputs).toBe(4);
    expect(endpoint.targetInputs).toBe(4);
    expect(endpoint.paths).toEqual({ deny: ["/x"] });
    expect(endpoint.healthPath).toBe("/api/version");
  });

  test("and is not replaced where it has a mistake", () => {
    const problems = problemsOf(
      `function = "f"\n${UPSTREAM}\napp_kind = "gradio"\nmax_inputs = "4"`,
    );
    expect(problems).toMatch(/^postern\.toml:6: endpoint\.f\.max_inputs = "4": must be an integer/);
    expect(problems.split("\n")).toHaveLength(1);
  });
});

test("a key that can't go with the preset is told at app_kind", () => {
  expect(problemsOf(`function = "f"\n${UPSTREAM}\napp_kind = "gradio"\nmax_inputs = 1`)).toMatch(
    /^postern\.toml:5: endpoint\.f\.app_kind = "gradio": sets affinity, which needs max_inputs of more/,
  );
});

test("the health path of a preset may have an interval of the file", () => {
  const endpoint = endpointOf(
    'web_server = ["vllm", "serve", "--port", "$PORT"]\napp_kind = "vllm"\nhealth_interval = 1',
  );
  expect(endpoint).toMatchObject({ healthPath: "/health", healthInterval: 1 });
});

test("an unknown kind is refused with those that there are", () => {
  expect(problemsOf(`function = "f"\n${UPSTREAM}\napp_kind = "olama"`)).toContain(
    'must be one of "ollama", "comfyui"',
  );
});

describe("a second name on the containers", () => {
  const owner = `function = "chat"\n${UPSTREAM}\napp_kind = "vllm"`;

  test("has the preset's closed paths too, and its own where it says so", () => {
    const open = 'function = "open"\ncontainers_of = "chat"\npaths = { deny = ["/x"] }';
    const app = accepted(read(owner, 'function = "other"\ncontainers_of = "chat"', open));
    expect(app.endpoints.map(({ paths }) => paths?.deny)).toEqual([
      PRESETS.vllm.paths.deny,
      PRESETS.vllm.paths.deny,
      ["/x"],
    ]);
    expect(app.endpoints[1]).toMatchObject({ healthPath: "/health", maxInputs: 256 });
  });

  test("has no kind of its own", () => {
    const guest = 'function = "other"\ncontainers_of = "chat"\napp_kind = "ollama"';
    expect(problemsOf(owner, guest)).toMatch(/app_kind = "ollama": belongs to the function that/);
  });
});

describe("an explained app", () => {
  const result = read(
    'function = "chat"\nweb_server = ["vllm", "serve", "--port", "$PORT"]\napp_kind = "vllm"\ntimeout = 900',
    'function = "open"\ncontainers_of = "chat"\nlabel = "open"',
  );
  const { app, endpoints } = explainApp(result.ok ? result.document : {});
  const [chat, open] = endpoints.map(({ settings }) => settings);

  test("tells each value with its source", () => {
    expect(app).toEqual({
      app: { value: "a", from: "file" },
      workspace: { value: "local", from: "default" },
      environment: { value: "main", from: "default" },
    });
    expect(chat).toMatchObject({
      timeout: { value: 900, from: "file" },
      max_inputs: { value: 256, from: "preset" },
      health_path: { value: "/health", from: "preset" },
      max_pending: { value: 2000, from: "default" },
      host_header: { value: "public", from: "default" },
      gpu_memory: { value: null, from: "default" },
      port: { value: null, from: "default", note: "a free one" },
    });
  });

  test("follows a default that is another key's value", () => {
    expect(chat?.["startup_timeout"]).toEqual({ value: 900, from: "default" });
    expect(chat?.["target_inputs"]).toEqual({ value: 256, from: "default" });
  });

  test("leaves out what has no meaning for its kind", () => {
    for (const key of ["asgi", "python", "requirements", "method"]) {
      expect(chat).not.toHaveProperty(key);
    }
  });

  test("shows for a second name whose the settings of its containers are", () => {
    expect(open).toMatchObject({
      label: { value: "open", from: "file" },
      timeout: { value: 300, from: "default" },
      max_inputs: { value: 256, from: "containers_of" },
      paths: { value: PRESETS.vllm.paths, from: "preset" },
    });
  });
});
