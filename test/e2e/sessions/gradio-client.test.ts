/**
 * gradio_client at Gradio of earlier generations. That of their own time loses a job whose events overtake the response
 * that names it, without Postern too; the current one does not.
 */
import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";

import { APPS } from "../../support/harness.ts";
import { send } from "../../support/http-client.ts";
import { ManagedProcess } from "../../support/processes.ts";
import { gradioEndpoint, pythonSessions } from "../../support/sessions/gradio.ts";
import { CLIENTS, expectKeptSessions } from "../../support/sessions/outcomes.ts";
import { OvertakingProxy } from "../../support/sessions/overtaking-proxy.ts";
import { READY_TIMEOUT_MS, TwoBoxes } from "../../support/sessions/two-boxes.ts";
import { freePort } from "../../support/temporary.ts";
import { ensureSessionsVenv } from "../../support/venv.ts";

const SESSIONS = 20;
const CONTAINERS = 4;

let current: string;
beforeAll(async () => {
  current = await ensureSessionsVenv();
});

describe.each([
  ["5.50", "gradio-5"],
  ["4.44", "gradio-4"],
])("Gradio %s", (_generation, list) => {
  let python: string;
  beforeAll(async () => {
    python = await ensureSessionsVenv(list);
  });

  describe("without Postern", () => {
    let app: ManagedProcess;
    let proxy: OvertakingProxy;
    beforeAll(async () => {
      const port = await freePort();
      const env = { ...process.env, PORT: String(port), GRADIO_ANALYTICS_ENABLED: "False" };
      app = new ManagedProcess([python, join(APPS, "gradio_app.py")], { env });
      const host = `127.0.0.1:${port}`;
      const isReady = async () => expect((await send({ port, host }, "/config")).status).toBe(200);
      await vi.waitFor(isReady, { timeout: READY_TIMEOUT_MS, interval: 200 });
      proxy = await OvertakingProxy.start(port);
    });
    afterAll(async () => {
      proxy.stop();
      await app.stop();
    });

    const overtaken = async (interpreter: string): Promise<unknown> => {
      const command = [join(CLIENTS, "gradio_overtaken.py"), proxy.url];
      const { stdout } = await promisify(execFile)(interpreter, command);
      return JSON.parse(stdout) as unknown;
    };

    test("its own gradio_client loses a job that ends before its name is there", async () => {
      expect(await overtaken(python)).toEqual({
        failure: expect.stringMatching(/^(?:CancelledError|TimeoutError)$/) as string,
      });
    });

    test("the current gradio_client does not", async () => {
      expect(await overtaken(current)).toEqual({ answer: "finishes" });
    });
  });

  describe("on four containers of two boxes", () => {
    let boxes: TwoBoxes;
    beforeAll(async () => {
      boxes = await TwoBoxes.start();
      const endpoint = { ...gradioEndpoint("ui", python, CONTAINERS), affinity: "gradio" };
      await boxes.deploy([join(APPS, "gradio_app.py")], [endpoint]);
    });
    afterAll(async () => await boxes.stop());

    test(`${SESSIONS} sessions of the current gradio_client at once stay each on one container`, async () => {
      expectKeptSessions(await pythonSessions(current)(boxes.url("ui"), SESSIONS));
    });
  });
});
