/** The operations of the package, each in an event loop too. */
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { expect, test } from "vitest";
import { ROOT } from "../../support/harness.ts";

const PROGRAM = `
import asyncio, json, sys, threading
from base64 import urlsafe_b64encode
import postern as modal

app = modal.App("shop")

@app.function()
def thread(x):
    return [x, threading.current_thread() is threading.main_thread()]

@app.function()
async def twice(x):
    return [2 * x, threading.current_thread() is threading.main_thread()]

@app.function()
def count(x):
    yield from range(x)

OPERATIONS = {
    thread: ["remote", "remote_gen", "spawn", "map", "starmap", "local", "get_web_url", "for_each", "spawn_map"],
    modal.Function: ["from_name"],
    modal.Cls: ["from_name"],
    modal.FunctionCall: ["from_id", "gather"],
    modal.FunctionCall.from_id(sys.argv[1]): ["get", "cancel", "get_call_graph", "iter"],
}

async def main():
    function = await modal.Function.from_name.aio("shop", "f")
    cls = await modal.Cls.from_name.aio("shop", "Model")
    call = await modal.FunctionCall.from_id.aio(sys.argv[1])
    return {
        "missing": [name for owner, names in OPERATIONS.items() for name in names if not hasattr(getattr(owner, name), "aio")],
        "found": [function.tag, cls.name, call.object_id == sys.argv[1], await modal.FunctionCall.gather.aio()],
        "local": [await thread.local.aio(3), await twice.local.aio(3), list(await count.local.aio(3))],
        "blocking": [thread.local(3), modal.Function.from_name("shop", "g").tag, modal.FunctionCall.gather()],
    }

print(json.dumps(asyncio.run(main())))
`;

const CALL = ["shop", "main", "f", "f", "gpu-1", "a".repeat(32)];

test("each operation has .aio, also those that ask nobody", () => {
  const env = { ...process.env, PYTHONPATH: join(ROOT, "origin-gpu/python") };
  const id = `fc-${Buffer.from(JSON.stringify(CALL)).toString("base64url")}`;
  const printed = execFileSync("python3", ["-c", PROGRAM, id], { env, encoding: "utf8" });
  expect(JSON.parse(printed)).toEqual({
    missing: [],
    found: ["f", "Model", true, []],
    // A blocking function does not hold up the event loop.
    local: [
      [3, false],
      [6, true],
      [0, 1, 2],
    ],
    blocking: [[3, true], "g", []],
  });
});
