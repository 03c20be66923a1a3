/** An app of the Python package `postern`: served, edited and deployed by the real command, called as its users do. */
import { execFile } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ownAccess } from "../../cli/access.ts";
import {
  APPS,
  type Gateway,
  ROOT,
  startCommand,
  startGateway,
  WORKSPACE,
} from "../support/harness.ts";
import { send } from "../support/http-client.ts";
import {
  activeVenv,
  servePython,
  type ServedPython,
  writePythonApp,
} from "../support/python-app.ts";
import { ensureVenv } from "../support/venv.ts";

const TEXT = readFileSync(join(APPS, "python_app.py"), "utf8");

let gateway: Gateway;
beforeAll(async () => {
  gateway = await startGateway();
});
afterAll(async () => await gateway.stop());

async function command(
  ...args: string[]
): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const managed = startCommand([...args, "--state", gateway.stateDirectory], {
    env: await activeVenv(),
  });
  const { code } = await managed.exited;
  return { code, stdout: managed.stdout, stderr: managed.stderr };
}

describe("a served app", () => {
  let served: ServedPython;
  beforeAll(async () => {
    const file = writePythonApp("pyapp", TEXT);
    served = await servePython(gateway, file, { app: "pyapp", ready: "web" });
  });
  afterAll(async () => await served.process.stop());

  const get = async (path: string) =>
    await send(served.address("web"), path, { timeoutMs: 60_000 });

  test("answers at its function's URL, which it knows", async () => {
    const url = `http://${served.address("web").host}`;
    expect((await get("/")).json()).toEqual({ url: `${url}/`, own: url });
  });

  test("calls a function in a container of its own, and gets its value", async () => {
    const { square, here, there } = (await get("/square?x=12")).json() as Record<string, unknown>;
    expect(square).toBe(144);
    expect(there).toMatch(/^ct-/);
    expect(there).not.toBe(here);
  });

  test("gets the function's exception, with the traceback of its container", async () => {
    const { error, cause } = (await get("/fail")).json() as Record<string, string>;
    expect(error).toBe("can't multiply sequence by non-int of type 'str'");
    expect(cause).toMatch(/File ".*pyapp\.py", line \d+, in square/);
    expect(cause).not.toContain("postern_container");
  });

  test("prints the URL of what is served to the web alone", () => {
    expect(served.process.stdout).not.toContain("pyapp-square");
  });

  test("opens a function to nobody without the app's token, whatever proxy token they have", async () => {
    const address = served.address("square");
    const bare = await send(address, "/", { method: "POST", body: "x" });
    expect(bare.status).toBe(401);
    const { stdout } = await command("proxy-token", "create");
    const [id = "", secret = ""] = stdout.split("\n");
    const headers = { "modal-key": id, "modal-secret": secret };
    const proxied = await send(address, "/", { method: "POST", body: "x", headers });
    expect([proxied.status, proxied.text]).toEqual([
      403,
      expect.stringContaining("only the app itself"),
    ]);
  });

  test("unpickles nothing that comes past the gateway and is not signed", async () => {
    const { port } = (await get("/port-of-square")).json() as { port: number };
    const address = { port, host: `127.0.0.1:${port}` };
    const body = "cos\nsystem\n(S'touch pwned'\ntR.";
    const answer = await send(address, "/", { method: "POST", body });
    expect([answer.status, answer.text]).toEqual([401, expect.stringContaining("not signed")]);
  });

  test("is edited, and mistakes in it are told with their lines while the last good one goes on", async () => {
    writeFileSync(
      served.file,
      TEXT.replace("@app.function()\ndef square(", "@app.function(gpux=1)\ndef square("),
    );
    const line = TEXT.slice(0, TEXT.indexOf("def square(")).split("\n").length;
    await served.process.waitForErrorOutput(
      new RegExp(`pyapp\\.py:${line - 1}: square: unknown argument gpux`),
    );
    expect(((await get("/square?x=3")).json() as { square: number }).square).toBe(9);
    writeFileSync(served.file, TEXT.replace("return x * x", "return x * x * x"));
    const squared = async () => ((await get("/square?x=3")).json() as { square: number }).square;
    await expect.poll(squared, { timeout: 30_000 }).toBe(27);
  });
});

test("a deployed app serves the same, and a program of its own finds its function by name", async () => {
  const box = startCommand(["origin", "--name", "gpu-1", "--state", gateway.stateDirectory], {
    env: await activeVenv(),
  });
  await box.waitForErrorOutput(/gpu-1 is connected/);
  const file = writePythonApp("pyapp", TEXT);
  const { code, stdout, stderr } = await command("deploy", file);
  expect({ code, stderr }).toMatchObject({ code: 0 });
  const { port } = gateway;
  expect(stdout).toContain(`http://${WORKSPACE}--pyapp-web.localhost:${port}`);
  expect(stdout).not.toContain("pyapp-square");
  const address = { port, host: `${WORKSPACE}--pyapp-web.localhost:${port}` };
  const answer = await send(address, "/square?x=5", { timeoutMs: 60_000 });
  expect(answer.json()).toMatchObject({ square: 25 });

  const program = `import postern
square = postern.Function.from_name("pyapp", "square")
print(square.remote(6), list(square.map(range(20))))
`;
  const { tokenId, tokenSecret } = ownAccess(gateway.stateDirectory);
  const env = {
    ...(await activeVenv()),
    PYTHONPATH: join(ROOT, "origin-gpu/python"),
    POSTERN_URL: `http://localhost:${port}`,
    POSTERN_TOKEN_ID: tokenId,
    POSTERN_TOKEN_SECRET: tokenSecret,
  };
  const printed = await promisify(execFile)(await ensureVenv(), ["-c", program], { env });
  const squares = Array.from({ length: 20 }, (_, index) => index * index);
  expect(printed.stdout).toBe(`36 [${squares.join(", ")}]\n`);
  await box.stop();
});
