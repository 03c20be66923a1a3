/**
 * Apps that run as another user than Postern's. Root alone can do that; for others the tests show that it is refused.
 */
import { execFileSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { stringify } from "smol-toml";
import { describe, expect, onTestFinished, test } from "vitest";
import {
  type Gateway,
  type GatewayOptions,
  ROOT,
  startCommand,
  startGateway,
  startServe,
  startUp,
  webServer,
  writeConfig,
} from "../support/harness.ts";
import { type Answer, send } from "../support/http-client.ts";
import { ManagedProcess, untilGone } from "../support/processes.ts";
import { temporaryDirectory } from "../support/temporary.ts";

const USER = "nobody";

/** pip may have to fetch something from far away, on a machine that does other things. */
const PATIENCE = { timeout: 240_000 };

/** Does what the path says with the file that the query names, and tells who it is. */
const SERVER = `
import errno, json, os, subprocess, sys, urllib.parse

child = subprocess.Popen(["sleep", "600"], start_new_session=True)

def tell(path, file):
    if path == "/who":
        return {"pid": os.getpid(), "child": child.pid, "uid": os.getuid(), "groups": os.getgroups(),
                "home": os.environ["HOME"], "user": os.environ["USER"], "cwd": os.getcwd(), "prefix": sys.prefix}
    try:
        with open(file, "rb" if path == "/read" else "xb") as opened:
            return {"done": opened.read(1).hex() if path == "/read" else opened.write(b"x")}
    except OSError as error:
        return {"error": errno.errorcode[error.errno]}

async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    file = urllib.parse.unquote(scope["query_string"].decode())
    body = json.dumps(tell(scope["path"], file)).encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})
`;

const POSTERN_TOML = `
app = "vault"

[[endpoint]]
function = "web"
asgi = "server:app"
requirements = ["uvicorn"]
startup_timeout = 60
`;

interface Who {
  readonly pid: number;
  readonly child: number;
  readonly uid: number;
  readonly groups: readonly number[];
  readonly home: string;
  readonly user: string;
  readonly cwd: string;
  readonly prefix: string;
}

/** A directory that every user can enter, as those above a real state directory. */
function publicDirectory(): string {
  const directory = temporaryDirectory();
  chmodSync(directory, 0o755);
  return directory;
}

async function up(options: GatewayOptions = {}): Promise<Gateway> {
  const stateDirectory = options.stateDirectory ?? join(publicDirectory(), "state");
  const endpoint = webServer({ directory: publicDirectory() });
  const postern = await startUp([endpoint], {
    ...options,
    stateDirectory,
    flags: ["--run-as", USER],
  });
  onTestFinished(() => postern.stop());
  return postern;
}

async function deploy({ stateDirectory }: Gateway): Promise<void> {
  const directory = temporaryDirectory();
  writeFileSync(join(directory, "server.py"), SERVER);
  writeFileSync(join(directory, "postern.toml"), POSTERN_TOML);
  const file = join(directory, "postern.toml");
  const command = startCommand(["deploy", file, "--state", stateDirectory]);
  const { code } = await command.exited;
  expect(code, command.stderr).toBe(0);
}

/** What the deployed app says. */
async function ask(postern: Gateway, path: string): Promise<Answer> {
  const host = `tests--vault-web.localhost:${postern.port}`;
  return await send({ port: postern.port, host }, path, { timeoutMs: 60_000 });
}

async function attempt(postern: Gateway, path: "read" | "write", file: string): Promise<unknown> {
  return JSON.parse((await ask(postern, `/${path}?${encodeURIComponent(file)}`)).text);
}

describe.runIf(process.getuid?.() === 0)("as root, with --run-as", () => {
  test("an app reads none of the gateway's and the box's secrets", PATIENCE, async () => {
    const postern = await up();
    await deploy(postern);
    const state = postern.stateDirectory;
    const secrets = ["key", "profile.toml", "gateway.json", "box/identity.json", "box/lock"];
    for (const name of secrets) {
      expect(existsSync(join(state, name)), name).toBe(true);
      expect(await attempt(postern, "read", join(state, name)), name).toEqual({ error: "EACCES" });
    }
    const environ = `/proc/${postern.process.pid}/environ`;
    expect(await attempt(postern, "read", environ)).toEqual({ error: "EACCES" });
    expect(await attempt(postern, "write", join(state, "planted"))).toEqual({ error: "EACCES" });
    const records = join(state, "environments");
    expect(await attempt(postern, "write", join(records, "planted"))).toEqual({ error: "EACCES" });
  });

  test(
    "it is that user, and writes to its directory, its home and its environment",
    PATIENCE,
    async () => {
      const postern = await up();
      await deploy(postern);
      const who = JSON.parse((await ask(postern, "/who")).text) as Who;
      const id = (flag: string) => execFileSync("id", [flag, USER], { encoding: "utf8" }).trim();
      expect(who.uid).toBe(Number(id("-u")));
      expect(who.groups.join(" ")).toBe(id("-G"));
      expect(who.user).toBe(USER);
      const place = `${postern.stateDirectory}-apps/${USER}`;
      expect(who.cwd.startsWith(`${place}/copies/`)).toBe(true);
      expect(who.prefix.startsWith(`${place}/environments/`)).toBe(true);
      for (const directory of [who.cwd, who.home, who.prefix]) {
        expect(await attempt(postern, "write", join(directory, "mine"))).toEqual({ done: 1 });
      }
      for (const directory of [place, `${place}/copies`, `${place}/environments`]) {
        const planted = join(directory, "planted");
        expect(await attempt(postern, "write", planted), directory).toEqual({ error: "EACCES" });
      }
    },
  );

  test("it ends with all that it started, and so does its copy", PATIENCE, async () => {
    const postern = await up();
    await deploy(postern);
    const { pid, child, cwd } = JSON.parse((await ask(postern, "/who")).text) as Who;
    // Nothing that an app leaves keeps the agent from removing it, or leads it elsewhere.
    const bait = join(postern.stateDirectory, "box", "identity.json");
    execFileSync("setpriv", [
      `--reuid=${USER}`,
      `--regid=${execFileSync("id", ["-g", USER], { encoding: "utf8" }).trim()}`,
      "--init-groups",
      "/bin/sh",
      "-c",
      `cd "$0"; mkdir -p a/b; ln -s ${postern.stateDirectory} a/link; ln -s ${bait} file; chmod 000 a`,
      cwd,
    ]);
    await postern.stop();
    await untilGone(pid);
    await untilGone(child);

    const { stateDirectory } = postern;
    const again = await up({ stateDirectory });
    const after = JSON.parse((await ask(again, "/who")).text) as Who;
    expect(existsSync(bait)).toBe(true);
    expect(existsSync(cwd)).toBe(false);
    expect(readdirSync(join(after.cwd, ".."))).toHaveLength(1);
    expect(again.process.stderr).not.toContain("making a Python environment");
    await again.process.kill();
    await untilGone(after.pid);
    await untilGone(after.child);
  });

  test.each(["serve", "origin"])("so are the apps of %s", async (command) => {
    const gateway = await startGateway({ stateDirectory: join(publicDirectory(), "state") });
    onTestFinished(() => gateway.stop());
    const { stateDirectory: state } = gateway;
    const directory = publicDirectory();
    const program = `require("node:http")
      .createServer((_, response) => response.end(String(process.getuid())))
      .listen(process.env.PORT, "127.0.0.1")`;
    const endpoint = [{ function: "web", web_server: ["node", "-e", program] }];
    const file = join(directory, "postern.toml");
    writeFileSync(file, stringify({ app: "who", endpoint }));
    const more = command === "serve" ? [file] : ["--name", "here"];
    const running = startCommand([command, ...more, "--state", state, "--run-as", USER]);
    onTestFinished(async () => void (await running.stop()));
    if (command === "origin") {
      await running.waitForErrorOutput(/here is connected/);
      const deployment = startCommand(["deploy", file, "--state", state]);
      expect((await deployment.exited).code, deployment.stderr).toBe(0);
    } else await running.waitForOutput(/^http.*-dev/m);
    const suffix = command === "serve" ? "-dev" : "";
    const host = `tests--who-web${suffix}.localhost:${gateway.port}`;
    const { text } = await send({ port: gateway.port, host }, "/");
    expect(Number(text)).toBe(Number(execFileSync("id", ["-u", USER], { encoding: "utf8" })));
  });

  test("an app's directory that the user can't read fails the start, and the log says why", async () => {
    const directory = temporaryDirectory();
    const stateDirectory = join(publicDirectory(), "state");
    const postern = await startUp([webServer({ directory })], {
      stateDirectory,
      flags: ["--run-as", USER],
    });
    onTestFinished(() => postern.stop());
    expect((await send(postern.address(), "/")).status).toBe(503);
    await postern.process.waitForErrorOutput(
      new RegExp(`postern: ${USER} can't read the directory ${directory}`),
    );
  });

  test.each([
    ["nosuchuser", "700", /there is no user "nosuchuser"/],
    ["root", "700", /"root" is root/],
    [USER, "755", /nobody can enter .*state, where secrets are; chmod 700 it/],
  ])("%s with a state directory of mode %s is refused", async (user, mode, line) => {
    const state = join(publicDirectory(), "state");
    mkdirSync(state);
    chmodSync(state, Number.parseInt(mode, 8));
    const command = startCommand(["up", "--port", "0", "--state", state, "--run-as", user]);
    expect((await command.exited).code).toBe(1);
    expect(command.stderr).toMatch(line);
  });

  test("a place that the user can't reach is refused", async () => {
    const state = join(temporaryDirectory(), "state");
    const command = startCommand(["up", "--port", "0", "--state", state, "--run-as", USER]);
    expect((await command.exited).code).toBe(1);
    expect(command.stderr).toMatch(
      /nobody can't reach .*state-apps\/nobody; choose another --state/,
    );
  });
});

test("without root, --run-as is refused", async () => {
  const state = join(publicDirectory(), "state");
  const isRoot = process.getuid?.() === 0;
  const drop = isRoot ? ["setpriv", `--reuid=${USER}`, "--clear-groups", "--"] : [];
  const flags = ["up", "--port", "0", "--state", state, "--run-as", USER];
  const [program = "", ...words] = [
    ...drop,
    process.execPath,
    join(ROOT, "cli/postern.js"),
    ...flags,
  ];
  const command = new ManagedProcess([program, ...words], { cwd: "/" });
  expect((await command.exited).code).toBe(1);
  expect(command.stderr).toContain("only root can run apps as another user");
});

describe("without --run-as the start says what apps can read", () => {
  /** Apps run as whom, and what of the state directory. */
  const notice = (state: string): RegExp =>
    new RegExp(`apps run as \\S+ and can read ${state}, keys`);

  test("of up", async () => {
    const postern = await startUp([webServer()]);
    onTestFinished(() => postern.stop());
    await postern.process.waitForErrorOutput(notice(postern.stateDirectory));
  });

  test.each(["origin", "serve"])("of %s", async (command) => {
    const gateway = await startGateway();
    onTestFinished(() => gateway.stop());
    const { stateDirectory: state } = gateway;
    const more = command === "serve" ? [writeConfig([webServer()])] : ["--name", "here"];
    const running = startCommand([command, ...more, "--state", state]);
    onTestFinished(async () => void (await running.stop()));
    await running.waitForErrorOutput(notice(state), 30_000);
  });

  test("and not of serve for a gateway elsewhere", async () => {
    const gateway = await startGateway();
    onTestFinished(() => gateway.stop());
    const running = await startServe(gateway, [webServer()]);
    await running.stop();
    expect(running.stderr).not.toContain("can read");
  });
});
