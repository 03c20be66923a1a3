/** What the commands about tokens and profiles say, and how they exit, at a real gateway. */
import { readFileSync, statSync, writeFileSync, symlinkSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { temporaryDirectory } from "../support/temporary.ts";
import { ManagedProcess } from "../support/processes.ts";
import { postern } from "./postern.ts";

const COMMAND = fileURLToPath(new URL("../../cli/postern.js", import.meta.url));
const WORKSPACE = "ecorp";

let gateway: ManagedProcess;
let url: string;
const state = join(temporaryDirectory(), "state");
beforeAll(async () => {
  gateway = new ManagedProcess(
    [process.execPath, COMMAND, "gateway", "--port", "0", "--state", state],
    { cwd: temporaryDirectory(), env: { ...process.env, POSTERN_WORKSPACE: WORKSPACE } },
  );
  [url = ""] = await gateway.waitForOutput(/^http:\/\/localhost:\d+/m);
});
afterAll(async () => await gateway.stop());

/** Nobody's profile but this test's. */
const nobody = () => ({ POSTERN_CONFIG_PATH: join(temporaryDirectory(), "postern.toml") });

async function create(...args: string[]): Promise<{ id: string; secret: string }> {
  const { code, stdout } = await postern([...args, "--state", state], { env: nobody() });
  expect(code).toBe(0);
  const [id = "", secret = ""] = stdout.split("\n");
  return { id, secret };
}

/** The environment of somebody who has a token. */
function holding({ id, secret }: { id: string; secret: string }) {
  const token = { POSTERN_TOKEN_ID: id, POSTERN_TOKEN_SECRET: secret };
  return { ...nobody(), ...token, POSTERN_URL: url };
}

describe("proxy-token", () => {
  test("refuses a time without a unit, and an environment that is not there", async () => {
    const refused = (...flags: string[]) =>
      postern(["proxy-token", "create", ...flags, "--state", state]);
    expect(await refused("--expires", "5")).toEqual({
      code: 2,
      stdout: "",
      stderr: 'postern: --expires: "5" has no unit: 5d, 5h, 5m or 5s\n',
    });
    expect(await refused("--rate-limit", "5")).toMatchObject({
      code: 2,
      stderr:
        'postern: --rate-limit: "5" is not requests a second and seconds of burst, e.g. 5/10\n',
    });
    for (const budget of [
      "1000",
      "0req/day",
      "1000req",
      "1e3req/day",
      "1req/day,2req/day",
      "1s/day,",
      "9d/day",
    ]) {
      expect(await refused("--budget", budget)).toMatchObject({
        code: 2,
        stderr: `postern: --budget: "${budget}" is not requests or seconds a day, e.g. 1000req/day or 3600s/day\n`,
      });
    }
    expect(await refused("--concurrent", "0")).toMatchObject({
      code: 2,
      stderr: 'postern: --concurrent: "0" is not a number of calls, 1 to 999999\n',
    });
    expect(await refused("--priority", "high")).toMatchObject({ code: 2 });
    expect(await refused("--env", "main,nosuch")).toEqual({
      code: 1,
      stdout: "",
      stderr: "postern: the workspace has no environment nosuch\n",
    });
  });

  test("creates, lists and revokes", async () => {
    await postern(["environment", "create", "dev", "--state", state]);
    const flags = ["--name", "ci", "--env", "main,dev", "--app", "a", "--path", "/v1/*,/health"];
    flags.push(
      "--expires",
      "2h",
      "--rate-limit",
      "5/10",
      "--budget",
      "1000req/day,3600s/day",
      "--concurrent",
      "4",
    );
    flags.push("--priority", "batch");
    const token = await create("proxy-token", "create", ...flags);
    expect(token.id).toMatch(/^wk-/);
    expect(token.secret).toMatch(/^ws-/);
    const list = async () =>
      JSON.parse((await postern(["proxy-token", "list", "--json", "--state", state])).stdout) as {
        id: string;
      }[];
    expect(await list()).toContainEqual(
      expect.objectContaining({
        id: token.id,
        name: "ci",
        environments: ["main", "dev"],
        apps: ["a"],
        paths: ["/v1/*", "/health"],
        rate_limit: "5/10",
        daily_requests: 1000,
        daily_container_seconds: 3600,
        concurrent: 4,
        priority: "batch",
      }),
    );
    const table = await postern(["proxy-token", "list", "--state", state]);
    expect(table.stdout).toMatch(
      new RegExp(
        `^${token.id}  ci +main,dev +a +/v1/\\*,/health +5/10 +1000req/day,3600s/day +4 +batch +20.*never$`,
        "m",
      ),
    );
    const update = (...flags: string[]) =>
      postern(["proxy-token", "update", token.id, ...flags, "--state", state]);
    expect(await update()).toMatchObject({ code: 2 });
    expect(await update("--budget", "50s/day", "--rate-limit", "none")).toEqual({
      code: 0,
      stdout: "",
      stderr: `${token.id} has its new limits\n`,
    });
    expect(await list()).toContainEqual(
      expect.objectContaining({
        id: token.id,
        rate_limit: null,
        daily_requests: null,
        daily_container_seconds: 50,
        concurrent: 4,
      }),
    );
    const revoked = await postern(["proxy-token", "revoke", token.id, "--state", state]);
    expect(revoked).toEqual({ code: 0, stdout: "", stderr: `${token.id} is revoked\n` });
    expect((await list()).map(({ id }) => id)).not.toContain(token.id);
  });

  test("is made and revoked by somebody, as audit says, the newest first", async () => {
    const token = await create("proxy-token", "create");
    await postern(["proxy-token", "revoke", token.id, "--state", state]);
    const audit = (...flags: string[]) => postern(["audit", "--state", state, ...flags]);
    const entries = JSON.parse((await audit("--json", "--limit", "2")).stdout);
    expect(entries).toMatchObject([
      { operation: "revokeProxyToken", object: token.id, result: "ok", by_name: "first token" },
      { operation: "createProxyToken", object: token.id, result: "ok" },
    ]);
    expect(entries).toHaveLength(2);
    const { stdout } = await audit("--limit", "1");
    expect(stdout).toMatch(
      /^TIME +TOKEN +NAME +OPERATION +OBJECT +RESULT\n.* revokeProxyToken +wk-/,
    );
    expect(await audit("--limit", "0")).toMatchObject({ code: 2 });
  });

  test("has its use listed; a day that is none is refused", async () => {
    const usage = (...flags: string[]) => postern(["usage", ...flags, "--state", state]);
    expect(await usage("--json", "--since", "2026-11-01")).toMatchObject({
      code: 0,
      stdout: "[]\n",
    });
    expect(await usage()).toMatchObject({
      stdout: "DAY  TOKEN  NAME  ENDPOINT  REQUESTS  CONTAINER-SECONDS  REFUSED\n",
    });
    for (const since of ["2026-13-01", "yesterday", "1", "-1d"]) {
      expect(await usage(`--since=${since}`)).toMatchObject({
        code: 2,
        stderr: `postern: --since: "${since}" is neither a day, e.g. 2026-11-29, nor a time, e.g. 30d\n`,
      });
    }
  });

  test("lists every page", async () => {
    const holder = await create("token", "create", "--scope", "admin", "--name", "pages");
    const headers = {
      authorization: `Bearer ${holder.id}.${holder.secret}`,
      "content-type": "application/json",
    };
    await Promise.all(
      Array.from({ length: 101 }, async () => {
        const made = await fetch(`${url}/api/v1/proxy-tokens`, {
          method: "POST",
          headers,
          body: JSON.stringify({ name: "many" }),
        });
        expect(made.status).toBe(201);
      }),
    );
    const { stdout } = await postern(["proxy-token", "list", "--json"], { env: holding(holder) });
    const many = (JSON.parse(stdout) as { id: string; name: string }[]).filter(
      ({ name }) => name === "many",
    );
    expect(new Set(many.map(({ id }) => id)).size).toBe(101);
  });
});

describe("connect-token", () => {
  const refused = async (args: string[], cwd = temporaryDirectory()) =>
    await postern(["connect-token", "create", ...args, "--state", state], { cwd });

  test("says of which app, where no postern.toml does", async () => {
    expect(await refused(["web"])).toEqual({
      code: 2,
      stdout: "",
      stderr: "postern: of which app? name it with --app: there is no postern.toml here\n",
    });
  });

  test("finds its app in the postern.toml here, and says what the workspace lacks", async () => {
    const directory = temporaryDirectory();
    writeFileSync(
      join(directory, "postern.toml"),
      'app = "shop"\nenvironment = "main"\n[[endpoint]]\nfunction = "web"\nupstream = "http://127.0.0.1:9"\n',
    );
    expect(await refused(["web"], directory)).toEqual({
      code: 1,
      stdout: "",
      stderr: "postern: there is no app shop in environment main\n",
    });
  });

  test.each([
    [["web", "--app", "a", "--metadata", "a\nb"], "--metadata must be at most 511 characters"],
    [["web", "--app", "a", "--metadata", "x".repeat(512)], "--metadata must be at most 511"],
    [["web", "--app", "a", "--expires", "5"], '--expires: "5" has no unit'],
    [["web", "--app", "a", "--expires", "721h"], '--expires: "721h" is more than 30d'],
    [[], "FUNCTION is missing"],
  ])("refuses %j", async (args, message) => {
    const { code, stderr } = await refused(args);
    expect(code).toBe(2);
    expect(stderr).toContain(message);
  });
});

describe("one clear line", () => {
  const everybody = () => ({ env: nobody() });

  test.each([
    [["proxy-token"], 2, "postern: proxy-token: which one? create, list, update, revoke\n"],
    [
      ["proxy-token", "creat"],
      2,
      "postern: unknown command proxy-token creat; did you mean create?\n",
    ],
    [
      ["proxy-token", "drop"],
      2,
      "postern: unknown command proxy-token drop; one of create, list, update, revoke\n",
    ],
    [
      ["proxy-token", "create", "--nmae", "x"],
      2,
      "postern: unknown option --nmae; did you mean --name?\n",
    ],
    [
      ["proxy-token", "create", "--expires", "soon"],
      2,
      'postern: --expires: "soon" is not a time, e.g. 30d, 12h, 15m or 90s\n',
    ],
    [
      ["proxy-token", "create", "--expires", "0d"],
      2,
      'postern: --expires: "0d" is not a time, e.g. 30d, 12h, 15m or 90s\n',
    ],
    [["proxy-token", "revoke"], 2, "postern: ID is missing: postern proxy-token revoke ID\n"],
    [
      ["token", "create", "--scope", "root"],
      2,
      'postern: --scope: "root" is not one of admin, deploy, read\n',
    ],
    [
      ["config", "set-environment", "a b"],
      2,
      'postern: "a b" is not an environment\'s name: 1 to 64 ASCII letters, digits, "-", "." and "_"\n',
    ],
  ])("for wrong usage: %j", async (args, code, stderr) => {
    expect(await postern(args, everybody())).toEqual({ code, stdout: "", stderr });
  });

  test("where there is no gateway", async () => {
    const cwd = temporaryDirectory();
    const { code, stderr } = await postern(["token", "list"], { cwd, env: nobody() });
    expect(code).toBe(1);
    expect(stderr).toBe(
      `postern: no gateway runs on ${join(cwd, ".postern")}; start one with postern gateway, name ` +
        "its directory with --state, or run postern token set\n",
    );
  });

  test("where nothing listens", async () => {
    const env = {
      ...holding({ id: "ak-a", secret: "as-b" }),
      POSTERN_URL: "http://127.0.0.1:9",
    };
    expect(await postern(["token", "list"], { env })).toEqual({
      code: 1,
      stdout: "",
      stderr: "postern: can't reach the gateway at http://127.0.0.1:9: connection refused\n",
    });
  });

  test("where something else listens", async () => {
    const server = createServer((_request, response) => {
      response.writeHead(404).end("<h1>Not Found</h1>");
    });
    onTestFinished(() => void server.close());
    await new Promise<void>((resolve) => {
      server.listen(0, "127.0.0.1", resolve);
    });
    const other = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const env = { ...holding({ id: "ak-a", secret: "as-b" }), POSTERN_URL: other };
    const { code, stderr } = await postern(["token", "list"], { env });
    expect(code).toBe(1);
    expect(stderr).toBe(`postern: ${other} is no Postern gateway: it answered 404\n`);
  });

  test("for half a token in the environment", async () => {
    const env = { ...nobody(), POSTERN_URL: url, POSTERN_TOKEN_ID: "ak-a" };
    const { code, stderr } = await postern(["token", "list"], { env });
    expect(code).toBe(2);
    expect(stderr).toBe("postern: POSTERN_TOKEN_ID is set and POSTERN_TOKEN_SECRET is not\n");
  });

  test("for a gateway that no token is kept for", async () => {
    const { code, stderr } = await postern(["token", "list"], {
      env: { ...nobody(), POSTERN_URL: url },
    });
    expect(code).toBe(1);
    expect(stderr).toBe(
      `postern: no token for ${url}: set POSTERN_TOKEN_ID and POSTERN_TOKEN_SECRET, or run postern token set\n`,
    );
    // Unless it is the one that keeps its own right here.
    const cwd = temporaryDirectory();
    symlinkSync(state, join(cwd, ".postern"));
    const here = async (gatewayUrl: string) =>
      await postern(["token", "list"], { cwd, env: { ...nobody(), POSTERN_URL: gatewayUrl } });
    expect(await here(url)).toMatchObject({ code: 0 });
    expect(await here("http://127.0.0.1:9")).toMatchObject({ code: 1 });
  });

  test("for a token that is wrong or revoked, which is not said", async () => {
    const token = await create("token", "create");
    const line = ({ id }: { id: string }) =>
      `postern: the gateway at ${url} does not take the token ${id} (POSTERN_TOKEN_ID): ` +
      "wrong, expired or revoked\n";
    const wrong = await postern(["token", "list"], {
      env: holding({ ...token, secret: "as-wrong" }),
    });
    expect(wrong).toEqual({ code: 1, stdout: "", stderr: line(token) });
    await postern(["token", "revoke", token.id, "--state", state]);
    const revoked = await postern(["token", "list"], { env: holding(token) });
    expect(revoked).toEqual({ code: 1, stdout: "", stderr: line(token) });
  });

  test("for a token that may only read", async () => {
    const token = await create("token", "create", "--scope", "read");
    expect(await postern(["proxy-token", "create"], { env: holding(token) })).toEqual({
      code: 1,
      stdout: "",
      stderr: "postern: this needs a token of scope deploy; this one has read\n",
    });
  });

  test("for the first token, while it is the last admin's", async () => {
    const profile = readFileSync(join(state, "profile.toml"), "utf8");
    const first = /token_id = "([^"]+)"/.exec(profile)?.[1] ?? "";
    const list = await postern(["token", "list", "--json", "--state", state]);
    const admins = (JSON.parse(list.stdout) as { id: string; scope: string }[]).filter(
      ({ id, scope }) => scope === "admin" && id !== first,
    );
    for (const { id } of admins) await postern(["token", "revoke", id, "--state", state]);
    const { code, stderr } = await postern(["token", "revoke", first, "--state", state]);
    expect(code).toBe(1);
    expect(stderr).toBe(
      "postern: this is the last admin's token that does not expire; make another first\n",
    );
  });
});

describe("token set, profile and config", () => {
  test("keep a token in a profile that later commands use", async () => {
    const token = await create("token", "create", "--scope", "read");
    const env = nobody();
    const path = env.POSTERN_CONFIG_PATH;
    const flags = ["--token-id", token.id, "--token-secret", token.secret, "--url", url];
    expect(await postern(["token", "set", ...flags], { env })).toEqual({
      code: 0,
      stdout: "",
      stderr: `the token is in profile "${WORKSPACE}" of ${path}\n`,
    });
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(await postern(["profile", "current"], { env })).toMatchObject({
      code: 0,
      stdout: `${WORKSPACE}\n`,
    });
    expect(await postern(["proxy-token", "list"], { env })).toMatchObject({ code: 0, stderr: "" });
    expect((await postern(["config", "set-environment", "dev"], { env })).code).toBe(0);
    const shown = await postern(["config", "show"], { env });
    expect(shown.stdout).not.toContain(token.secret);
    expect(JSON.parse(shown.stdout)).toEqual({
      config_path: path,
      profile: WORKSPACE,
      environment: "dev",
      url,
      token_id: token.id,
      token_secret: "***",
      source: `profile "${WORKSPACE}" of ${path}`,
    });
    const unredacted = await postern(["config", "show", "--no-redact"], { env });
    expect(unredacted.stdout).toContain(token.secret);
  });

  test("refuse to keep a token that the gateway does not take, unless told not to ask", async () => {
    const env = nobody();
    const id = `ak-${WORKSPACE}-${"a".repeat(26)}`;
    const flags = ["--token-id", id, "--token-secret", "as-x", "--url", url, "--profile", "p"];
    expect((await postern(["token", "set", ...flags], { env })).code).toBe(1);
    expect((await postern(["profile", "list"], { env })).stdout).not.toContain("p ");
    expect((await postern(["token", "set", ...flags, "--no-verify"], { env })).code).toBe(0);
    expect((await postern(["profile", "list", "--json"], { env })).stdout).toBe(
      `${JSON.stringify([{ name: "p", workspace: WORKSPACE, url, active: true }])}\n`,
    );
  });

  test("switch between profiles", async () => {
    const env = nobody();
    writeFileSync(
      env.POSTERN_CONFIG_PATH,
      '[a]\nactive = true\nurl = "http://a.example"\ncolour = "blue"\n[b]\nurl = "http://b.example"\n',
    );
    expect((await postern(["profile", "activate", "b"], { env })).code).toBe(0);
    expect((await postern(["profile", "current"], { env })).stdout).toBe("b\n");
    expect(readFileSync(env.POSTERN_CONFIG_PATH, "utf8")).toContain('colour = "blue"');
    const chosen = await postern(["profile", "current"], { env: { ...env, POSTERN_PROFILE: "a" } });
    expect(chosen.stdout).toBe("a\n");
    expect(await postern(["profile", "activate", "c"], { env })).toEqual({
      code: 1,
      stdout: "",
      stderr: `postern: ${env.POSTERN_CONFIG_PATH} has no profile "c"; it has a, b\n`,
    });
  });

  test("name what is wrong with the file, and show no secret of it", async () => {
    const env = nobody();
    writeFileSync(env.POSTERN_CONFIG_PATH, '[a]\ntoken_secret = "as-hidden\n');
    const { code, stderr } = await postern(["profile", "list"], { env });
    expect(code).toBe(1);
    expect(stderr).toMatch(/^postern: \S+postern\.toml: [^\n]+\n$/);
    expect(stderr).not.toContain("as-hidden");
    writeFileSync(env.POSTERN_CONFIG_PATH, "[a]\nurl = 1\n");
    expect((await postern(["profile", "list"], { env })).stderr).toMatch(
      /postern\.toml: a\.url: [^\n]+\n$/,
    );
  });

  test("never send a profile's token to another gateway", async () => {
    const token = await create("token", "create", "--scope", "read");
    const env = nobody();
    const flags = ["--token-id", token.id, "--token-secret", token.secret, "--url", url];
    await postern(["token", "set", ...flags], { env });
    const { code, stderr } = await postern(["token", "list"], {
      env: { ...env, POSTERN_URL: "http://127.0.0.1:9" },
    });
    expect(code).toBe(1);
    expect(stderr).toMatch(/^postern: no token for http:\/\/127\.0\.0\.1:9: /);
  });

  test("derive a workspace's first token from the gateway's key", async () => {
    const env = { ...nobody(), POSTERN_KEY: readFileSync(join(state, "key"), "utf8").trim() };
    const args = ["token", "set", "--first-token", WORKSPACE, "--url", url];
    expect((await postern(args, { env })).code).toBe(0);
    const { stdout } = await postern(["token", "list", "--json"], { env });
    expect(JSON.parse(stdout)).toContainEqual(expect.objectContaining({ scope: "admin" }));
    const wrong = await postern(args, { env: { ...env, POSTERN_KEY: "short" } });
    expect(wrong.stderr).toBe("postern: the gateway's key is not 32 bytes in unpadded base64url\n");
  });
});

test.each(["proxy-token", "token", "profile", "config"])(
  "%s --help lists its commands, and each has its own",
  async (group) => {
    const help = await postern([group, "--help"]);
    expect(help).toMatchObject({ code: 0, stderr: "" });
    const commands = [...help.stdout.matchAll(/^  ((?:[a-z-]+) [a-z-]+) {2}/gm)].map(
      ([, name = ""]) => name,
    );
    expect(commands.length).toBeGreaterThan(1);
    const pages = commands.map(async (command) => {
      const own = await postern([...command.split(" "), "--help"]);
      expect(own).toMatchObject({ code: 0, stderr: "" });
      expect(own.stdout).toContain(`Usage: postern ${command}`);
    });
    await Promise.all(pages);
  },
);
