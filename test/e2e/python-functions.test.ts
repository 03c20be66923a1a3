/** Functions of a Python app: what `postern run` runs, and what remote, map, spawn and the like do there. */
import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { APPS, type Gateway, startCommand, startGateway, WORKSPACE } from "../support/harness.ts";
import { send } from "../support/http-client.ts";
import { activeVenv, servePython, writePythonApp } from "../support/python-app.ts";
import { freePort, temporaryDirectory } from "../support/temporary.ts";

const FILE = join(APPS, "functions_app.py");

/** Where a function has a volume. */
const mount = join(temporaryDirectory(), "mount");

let gateway: Gateway;
beforeAll(async () => {
  gateway = await startGateway();
});
afterAll(async () => await gateway.stop());

async function run(
  ...args: string[]
): Promise<{ code: number | null; stdout: string; stderr: string }> {
  return await runWith({ TEST_MOUNT: mount }, ...args);
}

async function runWith(env: NodeJS.ProcessEnv, ...args: string[]) {
  const managed = startCommand(["run", "--state", gateway.stateDirectory, ...args], {
    env: { ...(await activeVenv()), ...env },
  });
  const { code } = await managed.exited;
  return { code, stdout: managed.stdout, stderr: managed.stderr };
}

test("a local entrypoint calls the app's functions, in all the ways that there are", async () => {
  const directory = temporaryDirectory();
  const flags = ["--directory", directory, "--times", "3", "--shout"];
  const { code, stdout, stderr } = await run(`${FILE}::main`, ...flags);
  expect(code, stderr).toBe(0);
  const report = JSON.parse(stdout) as Record<string, unknown>;
  const squares = (count: number) => Array.from({ length: count }, (_, index) => index * index);
  expect(report).toEqual({
    arguments: [3, true],
    square: 49,
    local: 64,
    map: squares(50),
    unordered: squares(20),
    starmap: [
      [301, 3],
      [202, 3],
      [103, 3],
    ],
    exceptions: ["code 1", "code 2"],
    raised: ["OwnError", "code 1", expect.stringMatching(/functions_app\.py", line \d+, in fail/)],
    code: 42,
    generator: [0, 1, 2, 3, 4],
    streamed: ["first", "second"],
    retried: 3,
    unpicklable: ["SerializationError"],
    died: "lived",
    identity: [
      expect.stringMatching(/^fc-[\w-]+$/),
      expect.stringMatching(/^in-[\w-]+$/),
      false,
      expect.stringMatching(/^ct-/),
    ],
    call_ids: [true, true, true, true, "OutputExpiredError", "OutputExpiredError", "InvalidError"],
    thousand: [true, true],
    early: "ResultPending",
    graph: "PENDING",
    late: "waited",
    done: "SUCCESS",
    gathered: [4, 9],
    cancelled: "InternalFailure",
    model: [15, ["load", "warm"]],
    doubled: 30,
    one_pool: 1,
    attribute: 3,
    url: `http://${WORKSPACE}--functions-model-web-dev.localhost:${gateway.port}`,
    called: ["TypeError"],
    web: [
      6,
      { half: 1.5 },
      [{ half: 2 }, { half: 4 }],
      { half: 3 },
      { half: 3 },
      { half: 0.5 },
      2,
      "InvalidError",
      ["InvalidError", expect.stringMatching(/^Front\.pages makes an app .* get_web_url\(\)/)],
      ["InvalidError", expect.stringMatching(/^Front\.pages: it makes an app .* get_web_url\(\)/)],
      ["NotFoundError", "Front.none: there is no such function; Front has endpoint"],
    ],
    spawned: [30, true, [1, 4, 25, 49], "NotSupportedError", null],
    used: 4,
    used_after_cancel: true,
    variants: [
      [0, 1, 1, 0],
      [20, ["load", "warm"]],
      30,
      9,
      true,
      [
        "NotSupportedError",
        expect.stringMatching(/^Model\.where: .* \(Model_with_\w+\).* outside of functions/),
      ],
      "TypeError",
    ],
    parameters: [
      ["hedge hog", 7, true, "é", "hedge hog", "default"],
      ["fox", 10, false, "", "fox", "x"],
      ["hedge hog", 7, true, "é", "hedge hog", "again"],
    ],
    wrong: [
      ["TypeError", "Model(size='4'): size must be of type int"],
      ["TypeError", "Parametrized() needs foo"],
    ],
    is_local: true,
    shared: [
      true,
      "7",
      { square: 49 },
      20,
      false,
      [0, 1, 2, 3, 4, "empty"],
      ["copies/7.txt", "copies/8.txt"],
      true,
      "FileExistsError",
    ],
    absent: ["postern.Sandbox is not supported: run the command in a function", "NotFoundError"],
    aio: [9, [0, 1, 4, 9], [0, 1, 2], 81, [1, ["a"], ["7", null]]],
  });
  expect(stderr).toContain("model: bye");
});

const SMALL = `import postern as modal
app = modal.App("small")

@app.function()
def fail(code: int, file: str = ""):
    if file:
        return open(file, "w").write(str(code))
    raise ValueError(f"code {code}")
`;

test("the log has the exception of a call that was spawned, for which nobody may ask", async () => {
  const entrypoint = `
@app.local_entrypoint()
def begin():
    call = fail.spawn(7)
    try:
        call.get(timeout=60)
    except ValueError as error:
        print(error)
`;
  const { code, stdout, stderr } = await run(
    `${writePythonApp("begun", SMALL + entrypoint)}::begin`,
  );
  expect([code, stdout]).toEqual([0, "code 7\n"]);
  expect(stderr).toMatch(/\[fail\] .*begun\.py", line 8, in fail\n/);
  expect(stderr).toMatch(/\[fail\] ValueError: code 7\n/);
});

test("a function runs in its container, with arguments from the command line", async () => {
  const file = writePythonApp("small", SMALL);
  const written = join(temporaryDirectory(), "written");
  const { code, stderr } = await run(file, "--code", "3", "--file", written);
  expect(code, stderr).toBe(0);
  expect(readFileSync(written, "utf8")).toBe("3");
});

test("a class has a web server on its own port, and methods in the same container", async () => {
  process.env["TEST_PORT"] = `${await freePort()}`;
  process.env["TEST_BARE_PORT"] = `${await freePort()}`;
  const file = writePythonApp(
    "served",
    readFileSync(join(APPS, "web_server_class_app.py"), "utf8"),
  );
  const served = await servePython(gateway, file, { app: "served", ready: "asking" });
  const get = async (name: string, path: string) =>
    await send(served.address(name), path, { timeoutMs: 120_000 });
  const { host } = served.address("server-serve");
  expect((await get("asking", "/")).json()).toEqual({
    answers: [
      [200, true],
      [200, true],
    ],
    containers: 1,
    names: expect.arrayContaining(["served.py"]),
    url: `http://${host}`,
    bare: [`http://${served.address("bare-serve").host}`],
  });
  const page = await get("server-serve", "/served.py");
  expect([page.status, page.text]).toEqual([200, readFileSync(file, "utf8")]);
  expect((await get("bare-serve", "/served.py")).text).toBe(page.text);
  await served.process.stop();
  const said = served.process.stderr.match(/server: .*/g);
  expect(said).toEqual([
    "server: enter",
    `server: serves ${process.env["TEST_PORT"]}`,
    expect.stringMatching(/^server: exit/),
  ]);
});

test("programs of the function's environment are found by their names", async () => {
  const text = `import os, shutil, sys
import postern as modal
app = modal.App("programs")

@app.function()
def find() -> list:
    return [shutil.which(name) == os.path.join(sys.prefix, "bin", name) for name in ("python", "uvicorn")]

@app.local_entrypoint()
def main():
    print(find.remote())
`;
  const { PATH } = process.env;
  const found = await runWith({ PATH }, writePythonApp("programs", text));
  expect([found.code, found.stdout], found.stderr).toEqual([0, "[True, True]\n"]);
});

test("a file may import its neighbours as those of its package", async () => {
  const text = `import postern as modal
from .constants import STEP
app = modal.App("steps")

@app.function()
def step(x: int) -> tuple[int, str]:
    return x + STEP, step.get_raw_f().__module__

@app.local_entrypoint()
def main():
    print(step.remote(3))
`;
  const file = writePythonApp("steps", text);
  writeFileSync(join(dirname(file), "constants.py"), "STEP = 4\n");
  const bare = await run(file);
  expect([bare.code, bare.stdout], bare.stderr).toEqual([0, "(7, 'postern_app.steps')\n"]);
  writeFileSync(join(dirname(file), "__init__.py"), "from .constants import STEP\n");
  const whole = await run(file);
  expect([whole.code, whole.stdout], whole.stderr).toEqual([0, bare.stdout]);
});

test("a function's exception is the command's, and a wrong name or option is explained", async () => {
  const file = writePythonApp("small", SMALL);
  const failed = await run(`${file}::app.fail`, "--code", "7");
  expect(failed.code).toBe(1);
  expect(failed.stderr).toMatch(/small\.py", line \d+, in fail[\s\S]*ValueError: code 7/);
  const unknown = await run(`${file}::fial`);
  expect([unknown.code, unknown.stderr]).toEqual([
    2,
    expect.stringContaining("has no function fial; it has fail"),
  ]);
  const help = await run(file, "--help");
  expect([help.code, help.stdout]).toEqual([0, expect.stringContaining("--code INT")]);
});
