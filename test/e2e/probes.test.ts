/** Requests that start no container while none runs. */
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { APPS, startUp } from "../support/harness.ts";
import { send } from "../support/http-client.ts";
import { Notes } from "../support/notes.ts";

test("a probe is answered without a container, and by the app while it runs", async () => {
  const notes = new Notes();
  const postern = await startUp([
    {
      function: "web",
      web_server: ["node", join(APPS, "noting-server.ts")],
      env: { NOTES: notes.file, WORK_MS: "0" },
      max_inputs: 2,
      scaledown_window: 2,
      probe_paths: ["/favicon.ico"],
    },
  ]);
  onTestFinished(async () => await postern.stop());
  // The container that proved the version ends.
  const probe = async () => (await send(postern.address("web"), "/favicon.ico")).status;
  await expect.poll(probe, { timeout: 30_000, interval: 500 }).toBe(204);
  expect(await probe()).toBe(204);
  expect((await send(postern.address("web"), "/")).status).toBe(200);
  expect(await probe()).toBe(200);
});
