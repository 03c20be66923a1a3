/** What the command says and how it exits, before anything runs. */
import { spawnSync } from "node:child_process";
import { copyFileSync, writeFileSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { temporaryDirectory } from "../support/temporary.ts";
import { postern } from "./postern.ts";

const CONFIG = `
workspace = "ecorp"
app = "shop"

[[endpoint]]
function = "pay"
upstream = "http://127.0.0.1:9"

[[endpoint]]
function = "look"
label = "window"
upstream = "http://127.0.0.1:9"
`;

function directoryWith(config: string): string {
  const directory = temporaryDirectory();
  writeFileSync(join(directory, "postern.toml"), config);
  return directory;
}

describe("usage", () => {
  test("--help lists the commands on stdout, and each command has its own", async () => {
    const overview = await postern(["--help"]);
    expect(overview).toMatchObject({ code: 0, stderr: "" });
    // A blank or more between the columns, also after the longest name.
    const [, listed = ""] = /^Commands:\n((?: {2}.*\n)+)/m.exec(overview.stdout) ?? [];
    for (const line of listed.trimEnd().split("\n")) {
      expect(line).toMatch(/^ {2}[a-z-]+ {2,}[A-Z]/);
    }
    for (const command of ["up", "gateway", "serve", "url"]) {
      expect(overview.stdout).toContain(`  ${command} `);
      const help = await postern([command, "--help"]);
      expect(help).toMatchObject({ code: 0, stderr: "" });
      expect(help.stdout).toContain(`Usage: postern ${command}`);
    }
  });

  test("without a command the overview goes to stderr, since nothing was done", async () => {
    const { code, stdout, stderr } = await postern([]);
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
    expect(stderr).toContain("Usage: postern <command>");
  });

  test.each([
    [["gatway"], 2, "postern: unknown command gatway; did you mean gateway?\n"],
    [
      ["quit"],
      2,
      "postern: unknown command quit; one of up, gateway, serve, run, forward, origin, deploy, app, url, proxy-token, connect-token, sign-in, token, profile, config, environment, secret, domain, box, container, usage, audit, doctor, call\n",
    ],
    [["--port", "1"], 2, "postern: --port: a command comes first; see postern --help\n"],
    [["deploy", "none.py"], 1, "postern: none.py: there is no such file\n"],
    [["up", "--confg", "x"], 2, "postern: unknown option --confg; did you mean --config?\n"],
    [
      ["gateway", "--dns-over-https", "x"],
      2,
      'postern: --dns-over-https: "x" is not an https URL, or an http one of this machine, e.g. https://dns.example/dns-query\n',
    ],
  ])("%j ends in one clear line", async (args, code, stderr) => {
    expect(await postern(args)).toEqual({ code, stdout: "", stderr });
  });
});

describe("what can't start", () => {
  test("a clone without its dependencies: one line, exit code 1", async () => {
    const directory = temporaryDirectory();
    const command = join(directory, "postern.js");
    for (const name of ["postern.js", "installed.js"]) {
      copyFileSync(new URL(`../../cli/${name}`, import.meta.url), join(directory, name));
    }
    writeFileSync(join(directory, "package.json"), '{ "type": "module" }');
    writeFileSync(join(directory, "main.ts"), 'import "undici";\n');
    const { status, stdout, stderr } = spawnSync(process.execPath, [command, "up"], {
      encoding: "utf8",
    });
    expect({ status, stdout }).toEqual({ status: 1, stdout: "" });
    expect(stderr).toBe("postern: Cannot find package 'undici'; run npm install\n");
  });

  test("a port that is taken: one line, exit code 1", async () => {
    const server = createServer();
    await new Promise<void>((resolve) => {
      server.listen(0, "127.0.0.1", resolve);
    });
    onTestFinished(() => void server.close());
    const { port } = server.address() as AddressInfo;
    expect(await postern(["gateway", "--port", String(port)])).toEqual({
      code: 1,
      stdout: "",
      stderr: `postern: port ${port} is already taken; choose another with --port\n`,
    });
  });

  test("a state directory that can't be written: one line, exit code 1", async () => {
    const directory = directoryWith("");
    const state = join(directory, "postern.toml", "state");
    const { code, stderr } = await postern(["gateway", "--port", "0", "--state", state]);
    expect(code).toBe(1);
    expect(stderr).toMatch(/^postern: [^\n]*postern\.toml is not a directory\n$/);
  });

  test("a wrong configuration: every problem at once, before anything listens", async () => {
    const cwd = directoryWith('app = "a"\nnonsense = 1\n[[endpoint]]\nfunction = 5\n');
    const { code, stdout, stderr } = await postern(["up", "--config", "postern.toml"], { cwd });
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
    expect(stderr).toContain("nonsense");
    expect(stderr).toContain("function");
  });

  test("serve without a gateway says where it looked and what to do", async () => {
    const { code, stderr } = await postern(["serve"], { cwd: directoryWith(CONFIG) });
    expect(code).toBe(1);
    expect(stderr).toMatch(/^postern: no gateway runs on [^\n]+\.postern; [^\n]+--state[^\n]+\n$/);
  });
});

describe("postern url", () => {
  const env = { POSTERN_URL: "https://gpu.example.com/" };

  test("names an app's function at the gateway of POSTERN_URL", async () => {
    expect(await postern(["url", "text_to_speech", "flask_app"], { env })).toEqual({
      code: 0,
      stdout: "https://local--text-to-speech-flask-app.gpu.example.com\n",
      stderr: "",
    });
  });

  test("takes workspace and label from the app's postern.toml where it is at hand", async () => {
    const cwd = directoryWith(CONFIG);
    const pay = await postern(["url", "shop", "pay", "-e", "staging"], { env, cwd });
    expect(pay.stdout).toBe("https://ecorp-staging--shop-pay.gpu.example.com\n");
    const look = await postern(["url", "shop", "look", "--json"], { env, cwd });
    expect(JSON.parse(look.stdout)).toEqual({
      app: "shop",
      function: "look",
      url: "https://ecorp--window.gpu.example.com",
    });
    const none = await postern(["url", "shop", "buy"], { env, cwd });
    expect(none).toMatchObject({ code: 1, stdout: "" });
    expect(none.stderr).toContain("shop has no function buy; postern.toml has pay, look");
  });

  test("refuses a name that no URL can be built from", async () => {
    const { code, stderr } = await postern(["url", "...", "x"], { env });
    expect(code).toBe(2);
    expect(stderr).toMatch(/^postern: the app name "\.\.\." has no letter or digit[^\n]+\n$/);
  });
});

describe("POSTERN_LOG, POSTERN_DEBUG and POSTERN_METRICS", () => {
  test("make every line on stderr JSON, of a refused command too", async () => {
    const { code, stderr } = await postern(["urll"], { env: { POSTERN_LOG: "json" } });
    expect(code).toBe(2);
    expect(JSON.parse(stderr)).toEqual({
      time: expect.stringMatching(/^\d{4}-.*Z$/),
      event: "notice",
      text: "postern: unknown command urll; did you mean url?",
    });
  });

  test.each([
    ["POSTERN_DEBUG", "links", 'POSTERN_DEBUG: "links" is no topic; did you mean link?'],
    ["POSTERN_METRICS", "on", 'POSTERN_METRICS: "on" is neither PORT nor HOST:PORT'],
    ["POSTERN_LOG", "xml", 'POSTERN_LOG: "xml" is neither json nor off'],
  ])("are refused where they can't be meant: %s=%s", async (name, value, message) => {
    const { code, stderr } = await postern(["url"], { env: { [name]: value } });
    expect({ code, stderr }).toEqual({ code: 2, stderr: `postern: ${message}\n` });
  });
});
