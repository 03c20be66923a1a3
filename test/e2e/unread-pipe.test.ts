/** `postern up` whose stderr is a pipe that is full and that nobody reads: requests go on. */
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { APPS, ROOT, writeConfig, WORKSPACE } from "../support/harness.ts";
import { send } from "../support/http-client.ts";
import { ManagedProcess } from "../support/processes.ts";
import { freePort, temporaryDirectory } from "../support/temporary.ts";
import { withUnreadPipe } from "../support/unread-pipe.ts";

test("a pipe that nobody reads holds up neither the start nor a request, also while an app prints", async () => {
  const port = await freePort();
  const endpoint = {
    function: "web",
    web_server: ["node", join(APPS, "printing-server.ts")],
    max_inputs: 100,
  };
  const command = [process.execPath, join(ROOT, "cli/postern.js"), "up"];
  const options = ["--config", writeConfig([endpoint]), "--port", `${port}`];
  const running = new ManagedProcess(withUnreadPipe(...command, ...options), {
    cwd: temporaryDirectory(),
  });
  onTestFinished(() => running.killTree());
  const [host = ""] = await running.waitForOutput(
    new RegExp(`${WORKSPACE}--e2e-web\\.localhost:${port}`),
  );
  const status = async (path: string): Promise<number> =>
    (await send({ port, host }, path, { timeoutMs: 60_000 })).status;
  expect(await status("/print?first")).toBe(200);
  // A hundred times what may wait for the reader.
  const flooded = status("/flood");
  expect(await status("/")).toBe(200);
  expect(await flooded).toBe(200);
  expect(await status("/print?last")).toBe(200);
  expect(running.stderr).toBe("");
}, 120_000);
