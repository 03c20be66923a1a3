/**
 * What every command says of itself and of each mistake, in this process: help, wrong flags, no gateway,
 * a token that expired or may only read. A command that is added is found by itself.
 */
import { CREATE_API_TOKEN, GET_WORKSPACE } from "../../api/tokens.ts";
import { readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import { findAccess } from "../../cli/access.ts";
import { ApiClient } from "../../cli/client.ts";
import { COMMON_OPTIONS, helpOf, parseArguments, type Option } from "../../cli/arguments.ts";
import type { Command, CommandGroup } from "../../cli/command.ts";
import { CommandFailure } from "../../cli/failure.ts";
import { ManagedProcess } from "../support/processes.ts";
import { temporaryDirectory } from "../support/temporary.ts";

const COMMAND = fileURLToPath(new URL("../../cli/postern.js", import.meta.url));
const FOLDER = fileURLToPath(new URL("../../cli/commands", import.meta.url));

/** What a command that runs on waits for (cli/stop-signals.ts). */
const STOP_SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

const commands = await everyCommand();

async function everyCommand(): Promise<Map<string, Command>> {
  const found: Command[] = [];
  for (const file of readdirSync(FOLDER).toSorted()) {
    const exported = (await import(pathToFileURL(join(FOLDER, file)).href)) as object;
    for (const value of Object.values(exported) as (Command | CommandGroup | object)[]) {
      if ("run" in value) found.push(value);
      else if ("commands" in value) found.push(...Object.values(value.commands));
    }
  }
  return new Map(found.map((command) => [command.description.name, command]));
}

describe.each([...commands])("postern %s", (_name, { description }) => {
  const options = Object.entries<Option>({ ...description.options, ...COMMON_OPTIONS });
  const parse =
    (...argv: string[]) =>
    () =>
      parseArguments(description, argv);

  test("--help", async () => {
    const file = `help/${description.name.replaceAll(" ", "-")}.txt`;
    await expect(`${helpOf(description)}\n`).toMatchFileSnapshot(file);
  });

  test("refuses a flag that it does not have, and says which was meant", () => {
    expect(parse("--jsno")).toThrow(/^unknown option --jsno; did you mean --json\?$/);
    expect(parse("--frobnicate")).toThrow(/^unknown option --frobnicate; /);
  });

  test("refuses a flag without its value, and a value that is not asked for", () => {
    for (const [name, { type, notYet }] of options) {
      if (name === "env" && description.noEnvironment !== undefined) {
        expect(parse("--env", "main")).toThrow(`--env: ${description.noEnvironment}; leave it out`);
      } else if (notYet === true)
        expect(parse(`--${name}`)).toThrow(`--${name}: not available yet`);
      else if (type === "string") expect(parse(`--${name}`)).toThrow(`--${name} needs a value`);
      else expect(parse(`--${name}=yes`)).toThrow(`--${name} takes no value`);
    }
  });

  // An argument that may be repeated is never one too many.
  if (description.positionals.at(-1)?.includes("…") !== true) {
    test("refuses an argument too many", () => {
      const words = Array.from({ length: description.positionals.length + 1 }, () => "word");
      expect(parse(...words)).toThrow(CommandFailure);
    });
  }
});

describe("a value that can't be meant is refused with what would be right", () => {
  test.each([
    ["up", ["--port", "x"]],
    ["gateway", ["--request-timeout", "soon"]],
    ["origin", ["--name", "gpu 1"]],
    ["origin", ["--region", "eu west"]],
    ["deploy", ["server.py", "--name", "my app"]],
    ["deploy", ["my-server.py"]],
    ["deploy", ["--tag", "two\nlines"]],
    ["app rollback", ["shop", "latest"]],
    ["app scale", ["shop", "web"]],
    [
      "app scale",
      ["shop", "web", "--min", "1.5", "--max=0", "--buffer", "many", "--scaledown", "1"],
    ],
    ["proxy-token create", ["--expires", "soon"]],
    ["token create", ["--scope", "root"]],
  ])("postern %s %j", async (name, argv) => {
    const command = commands.get(name);
    if (command === undefined) throw new Error(`there is no ${name}`);
    const outcome = await outcomeOf(command, argv);
    expect(outcome).toMatch(/^2 [^\n]+$/);
    expect(outcome).toMatchSnapshot();
  });
});

test.each(["up", "gateway", "origin"])(
  "postern %s says so where it may not write its state directory",
  async (name) => {
    // Not even root may write there.
    const state = "/proc/postern/state";
    const port = name === "origin" ? [] : ["--port", "0"];
    const outcome = await outcomeOf(commands.get(name) as Command, ["--state", state, ...port]);
    expect(outcome).toMatch(/^1 can't write the state directory \S+: [^\n]+ --state$/);
  },
);

describe("at a gateway", () => {
  /** What a required argument is given. */
  const SAMPLES: Readonly<Record<string, string>> = {
    APP: "shop",
    DOMAIN: "example.com",
    FUNCTION: "web",
    ID: "id",
    NAME: "dev",
  };
  /** These have a --state and ask no API. */
  const LOCAL = new Set([
    "up",
    "gateway",
    "serve",
    "forward",
    "doctor",
    "run",
    "origin",
    "url",
    "config show",
  ]);
  const asking = [...commands].filter(
    ([name, { description }]) => "state" in description.options && !LOCAL.has(name),
  );
  const directory = temporaryDirectory();
  const appFile = join(directory, "app.py");
  let gateway: ManagedProcess;
  let url: string;
  let own: ApiClient;

  beforeAll(async () => {
    writeFileSync(appFile, "");
    const state = join(directory, "state");
    const started = ["gateway", "--port", "0", "--state", state];
    gateway = new ManagedProcess([process.execPath, COMMAND, ...started], { cwd: directory });
    [url = ""] = await gateway.waitForOutput(/^http:\/\/localhost:\d+/m);
    own = new ApiClient(findAccess(state, {}));
  });
  afterAll(async () => await gateway.stop());
  afterEach(() => {
    vi.unstubAllEnvs();
    vi.restoreAllMocks();
  });

  /** What each command that asks the API says and how it exits, one line each, in this environment. */
  async function outcomes(environment: Readonly<Record<string, string>>): Promise<string> {
    vi.stubEnv("POSTERN_CONFIG_PATH", join(directory, "none.toml"));
    for (const [name, value] of Object.entries(environment)) vi.stubEnv(name, value);
    const lines: string[] = [];
    for (const [name, command] of asking) {
      lines.push(`${name}: ${await outcomeOf(command, argumentsOf(command))}\n`);
    }
    return lines
      .join("")
      .replaceAll(url, "<url>")
      .replaceAll(/\bak-local-\w+/g, "<token>");
  }

  function argumentsOf({ description: { name, positionals, options } }: Command): string[] {
    const given = positionals
      .filter((positional) => !positional.startsWith("["))
      .map((positional) => {
        const sample = SAMPLES[positional];
        if (sample === undefined) throw new Error(`${name}: what is a ${positional}?`);
        return sample;
      });
    if (name === "deploy") given.push(appFile);
    if (name === "secret create") given.push("KEY=value");
    if (name === "app scale") given.push("--min", "1");
    if (name === "connect-token create") given.push("--app", "shop");
    if (name === "environment update") given.push("--set-web-suffix", "suffix");
    if (name === "proxy-token update") given.push("--budget", "1req/day");
    if ("box" in options) given.push("--box", "gpu-1");
    return "yes" in options ? [...given, "--yes"] : given;
  }

  test("there is none: each says where it looked", async () => {
    const state = join(directory, "empty");
    vi.stubEnv("POSTERN_CONFIG_PATH", join(directory, "none.toml"));
    for (const [, command] of asking) {
      const outcome = await outcomeOf(command, [...argumentsOf(command), "--state", state]);
      expect(outcome).toMatch(new RegExp(`^1 no gateway runs on ${state}; start one with `));
    }
  });

  test("--env names an environment that does not exist: each says so, or that it takes none", async () => {
    const environment = ["--state", join(directory, "state"), "--env", "nowhere"];
    for (const [name, command] of asking) {
      const outcome = await outcomeOf(command, [...argumentsOf(command), ...environment]);
      expect(`${name}: ${outcome}`).toMatch(/: (?:1 .*nowhere|2 --env: .*; leave it out$)/);
    }
  });

  test("none can be reached: each says so", async () => {
    const token = { POSTERN_TOKEN_ID: "ak-local-none", POSTERN_TOKEN_SECRET: "as-none" };
    const said = await outcomes({ POSTERN_URL: "http://127.0.0.1:1", ...token });
    for (const line of said.trimEnd().split("\n")) {
      expect(line).toMatch(
        /: 1 can't reach the gateway at http:\/\/127\.0\.0\.1:1: connection refused$/,
      );
    }
  });

  test("the token has expired: each says so", async () => {
    const { id, secret } = await own.call(CREATE_API_TOKEN, {
      body: { scope: "admin", expires_in: 1 },
    });
    const token = { url, tokenId: id, tokenSecret: secret, source: "" };
    await expect
      .poll(async () => await new ApiClient(token).call(GET_WORKSPACE, {}).then(String, String), {
        timeout: 10_000,
      })
      .toContain("expired");
    const environment = { POSTERN_URL: url, POSTERN_TOKEN_ID: id, POSTERN_TOKEN_SECRET: secret };
    const said = await outcomes(environment);
    for (const line of said.trimEnd().split("\n")) {
      expect(line).toMatch(/: 1 .* does not take the token <token> .*: wrong, expired or revoked$/);
    }
  });

  test("the token may only read: what changes something is refused, the rest is answered", async () => {
    const { id, secret } = await own.call(CREATE_API_TOKEN, { body: { scope: "read" } });
    const environment = { POSTERN_URL: url, POSTERN_TOKEN_ID: id, POSTERN_TOKEN_SECRET: secret };
    await expect(await outcomes(environment)).toMatchFileSnapshot(
      "help/with-a-read-only-token.txt",
    );
  });
});

/** Runs a command in this process: `0 done`, or the exit code and the line that it ends with. */
async function outcomeOf(command: Command, argv: readonly string[]): Promise<string> {
  const written = vi.spyOn(process.stdout, "write").mockReturnValue(true);
  const noticed = vi.spyOn(process.stderr, "write").mockReturnValue(true);
  const listening = STOP_SIGNALS.map((signal) => process.listeners(signal));
  try {
    const args = parseArguments(command.description, argv);
    return `${await command.run(args)} done`;
  } catch (error) {
    if (!(error instanceof CommandFailure)) throw error;
    return `${error.exitCode} ${error.message}`;
  } finally {
    written.mockRestore();
    noticed.mockRestore();
    // A command listens for Ctrl-C until its process ends, which is the test runner's here.
    for (const [index, signal] of STOP_SIGNALS.entries()) {
      for (const listener of process.listeners(signal)) {
        if (listening[index]?.includes(listener) !== true) process.removeListener(signal, listener);
      }
    }
    process.channel?.ref();
  }
}
