/** Ports of containers as public URLs, which functions open by `forward` of the Python package. */
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { APPS, type Gateway, startCommand, startGateway } from "../support/harness.ts";
import { activeVenv } from "../support/python-app.ts";

let gateway: Gateway;
beforeAll(async () => {
  gateway = await startGateway();
});
afterAll(async () => await gateway.stop());

test("a port is public for as long as the block runs, in a container and at its author's", async () => {
  const file = join(APPS, "forward_app.py");
  const managed = startCommand(["run", "--state", gateway.stateDirectory, file], {
    env: await activeVenv(),
  });
  const { code } = await managed.exited;
  expect(code, managed.stderr).toBe(0);
  const answer = { status: 200, path: "/path?query", is_public_host: true, sockets: true };
  expect(JSON.parse(managed.stdout)).toEqual({
    // The command shows a server of this machine a local Host.
    here: { ...answer, is_public_host: false },
    thread: { answers: [answer, answer], differ: true, gone: 404 },
    loop: [answer, answer],
    process: expect.stringContaining("InvalidError: forward is for functions of a container"),
    refused: [
      expect.stringContaining("NotSupportedError: forward(unencrypted=True) is not supported"),
      expect.stringContaining("InvalidError: forward needs a port from 1 to 65535"),
      expect.stringContaining("InvalidError: a tunnel carries HTTP and WebSockets alone"),
    ],
  });
});
