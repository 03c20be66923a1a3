/** What the commands about environments and secrets say, and how they exit, at a real gateway. */
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ManagedProcess } from "../support/processes.ts";
import { temporaryDirectory } from "../support/temporary.ts";
import { type Finished, postern } from "./postern.ts";

const COMMAND = fileURLToPath(new URL("../../cli/postern.js", import.meta.url));

const state = join(temporaryDirectory(), "state");
let gateway: ManagedProcess;
beforeAll(async () => {
  gateway = new ManagedProcess(
    [process.execPath, COMMAND, "gateway", "--port", "0", "--state", state],
    { cwd: temporaryDirectory() },
  );
  await gateway.waitForOutput(/^http:\/\/localhost:\d+/m);
});
afterAll(async () => await gateway.stop());

/** Nobody's profile but this test's. */
const nobody = { POSTERN_CONFIG_PATH: join(temporaryDirectory(), "postern.toml") };

async function run(words: string, env: NodeJS.ProcessEnv = {}): Promise<Finished> {
  const args = [...words.split(" ").filter((word) => word !== ""), "--state", state];
  return await postern(args, { env: { ...nobody, ...env } });
}

/** Runs what succeeds; returns its JSON. */
async function json(words: string): Promise<ReturnType<typeof JSON.parse>> {
  const { code, stdout, stderr } = await run(`${words} --json`);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  return JSON.parse(stdout);
}

const line = ({ code, stderr }: Finished) => `${code} ${stderr}`;

describe("environment", () => {
  test("is made, listed, changed and deleted", async () => {
    expect(line(await run("environment create Stage_1"))).toBe(
      "0 environment Stage_1 is there, with web suffix stage-1\n",
    );
    expect(line(await run("environment update Stage_1 --set-web-suffix beta"))).toBe(
      "0 environment Stage_1 has web suffix beta\n",
    );
    expect(await json("environment update Stage_1 --set-name trial")).toMatchObject({
      name: "trial",
      web_suffix: "beta",
    });
    const listed = await run("environment list");
    expect(listed.stdout).toMatch(/^NAME +WEB SUFFIX +CREATED +CREATED BY\ntrial +beta .*\nmain /);
    expect(await json("environment delete trial -y")).toEqual({ name: "trial", deleted: true });
    expect(await json("environment list")).toMatchObject([{ name: "main", web_suffix: "" }]);
  });

  test("may get no web suffix, in two words or in one", async () => {
    await run("environment update main --set-web-suffix prod");
    await run("environment create bare");
    const args = ["environment", "update", "bare", "--set-web-suffix", "", "--state", state];
    expect(line(await postern(args, { env: nobody }))).toBe(
      "0 environment bare has no web suffix\n",
    );
    await run("environment delete bare --yes");
    expect(line(await run("environment update main --set-web-suffix="))).toBe(
      "0 environment main has no web suffix\n",
    );
  });

  test.each([
    ["environment create main", "1 postern: there is an environment main already\n"],
    ["environment delete main -y", "1 postern: main is there for good; stop its apps instead\n"],
    ["environment delete nowhere -y", "1 postern: the workspace has no environment nowhere\n"],
    [
      "environment update main",
      "2 postern: environment update: what? say --set-name or --set-web-suffix\n",
    ],
    ["environment update main --set-name x", "1 postern: main keeps its name\n"],
    [
      "environment create a/b",
      '1 postern: body.name: must be 1 to 64 ASCII letters, digits, "-", "." and "_", and not without a letter or digit\n',
    ],
  ])("%s", async (words, expected) => {
    expect(line(await run(words))).toBe(expected);
  });

  test("is not deleted unless somebody confirms it", async () => {
    await run("environment create kept");
    expect(line(await run("environment delete kept"))).toMatch(
      /^2 postern: nobody is there to confirm: delete environment kept, .*; add --yes\n$/,
    );
    expect(await json("environment list")).toMatchObject([{ name: "kept" }, { name: "main" }]);
  });

  test("is asked for where there are several and none is meant", async () => {
    expect(line(await run("secret list"))).toMatch(
      /^2 postern: which environment\? name it with --env or POSTERN_ENVIRONMENT: kept, main\n$/,
    );
    expect(await run("secret list", { POSTERN_ENVIRONMENT: "main" })).toMatchObject({ code: 0 });
    expect(line(await run("secret list -e nowhere"))).toBe(
      "1 postern: the workspace has no environment nowhere\n",
    );
    await run("environment delete kept -y");
    expect(await run("secret list")).toMatchObject({ code: 0 });
  });

  test("is chosen for an app that is served as for any other command", async () => {
    const file = join(temporaryDirectory(), "postern.toml");
    const endpoint = '[[endpoint]]\nfunction = "web"\nupstream = "http://127.0.0.1:9"\n';
    writeFileSync(file, `app = "shop"\n${endpoint}`);
    await run("environment create trial");
    expect(line(await run(`serve ${file}`))).toMatch(
      /^2 postern: which environment\?.*trial, main/,
    );
    // CI sets what it has no value for to nothing.
    const variables = { POSTERN_ENVIRONMENT: "trial", POSTERN_DEV_SUFFIX: "" };
    const env = { ...process.env, ...nobody, ...variables };
    const serving = new ManagedProcess(
      [process.execPath, COMMAND, "serve", file, "--state", state],
      { cwd: temporaryDirectory(), env },
    );
    await serving.waitForOutput(/^http:\/\/local-trial--shop-web-dev\./m);
    await serving.stop();
    await run("environment delete trial -y");
  });
});

describe("secret", () => {
  test("is made of words and a file, listed by names alone, and deleted", async () => {
    const file = join(temporaryDirectory(), "secret.env");
    writeFileSync(file, "USER=ada\nPASSWORD=hunter2\n");
    const created = await run(`secret create database PASSWORD=hunter3 --from-dotenv ${file}`);
    expect(line(created)).toBe("0 secret database of main has PASSWORD, USER\n");
    expect(await json("secret list")).toMatchObject([
      { name: "database", variables: ["PASSWORD", "USER"], readable: true },
    ]);
    const listed = await run("secret list");
    expect(listed.stdout).toMatch(/^NAME +VARIABLES .*\ndatabase +PASSWORD,USER .* yes\n$/);
    expect(await json("secret delete database")).toMatchObject({ deleted: true });
    expect(await json("secret list")).toEqual([]);
  });

  test("is replaced only by force", async () => {
    await run("secret create a X=1");
    expect(line(await run("secret create a X=2"))).toBe(
      "1 postern: there is a secret a in main already; --force replaces it\n",
    );
    expect(await json("secret create a Y=2 --force")).toMatchObject({ variables: ["Y"] });
  });

  test("has its values from stdin, a line each, where they are -", async () => {
    const command = `${process.execPath} ${COMMAND} secret create piped A=- B=x C=- --state ${state}`;
    const piped = (lines: string) =>
      new ManagedProcess(["sh", "-c", `printf '${lines}' | ${command}`], {
        cwd: temporaryDirectory(),
        env: { ...process.env, ...nobody },
      });
    const short = piped("first\\n");
    expect((await short.exited).code).toBe(1);
    expect(short.stderr).toBe("postern: no C on stdin\n");
    const whole = piped("first\\nsecond\\n");
    expect((await whole.exited).code).toBe(0);
    expect(whole.stderr).toBe("secret piped of main has A, B, C\n");
  });

  test.each([
    ["secret delete nothing", /^1 postern: there is no secret nothing in main\n$/],
    ["secret create a hunter2", /^2 .*argument 1 after the secret's name is not KEY=VALUE/],
    ["secret create a", /^2 postern: secret create: no variables; say KEY=VALUE or --from-dotenv/],
    ["secret create a --from-dotenv /nowhere", /^1 postern: --from-dotenv \/nowhere: .*no such/i],
    ["secret create a PORT=hunter2 --force", /^1 .*PORT: is given to containers by Postern itself/],
    ["secret create b POSTERN_APP_TOKEN=hunter2", /^1 .*is given to containers by Postern itself/],
  ])("%s is refused in one line without the value", async (words, expected) => {
    const refused = line(await run(words));
    expect(refused).toMatch(expected);
    expect(refused).not.toContain("hunter2");
    expect(refused.trimEnd().split("\n")).toHaveLength(1);
  });

  test("has no value in any file of the gateway", async () => {
    await run("secret create deep VALUE=hunter2-in-the-deep");
    const files = readdirSync(state, { recursive: true, withFileTypes: true });
    const found = files
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name))
      .filter((path) => readFileSync(path, "latin1").includes("hunter2-in-the-deep"));
    expect(found).toEqual([]);
  });
});
