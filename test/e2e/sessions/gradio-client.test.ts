/**
 * gradio_client at Gradio of earlier generations, which loses jobs by itself, without Postern too: that of their own time
 * one whose events overtake the response that names it, and each one that is named while the stream of events closes.
 */
import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { APPS } from "../../support/harness.ts";
import type { ManagedProcess } from "../../support/processes.ts";
import { gradioEndpoint, pythonSessions, startGradio } from "../../support/sessions/gradio.ts";
import { type Late, LateProxy } from "../../support/sessions/late-proxy.ts";
import { CLIENTS, expectKeptSessions } from "../../support/sessions/outcomes.ts";
import { TwoBoxes } from "../../support/sessions/two-boxes.ts";
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
    let port: number;
    beforeAll(async () => {
      ({ app, port } = await startGradio(python));
    });
    afterAll(async () => await app.stop());

    /** What comes of the second of two jobs. */
    const second = async (interpreter: string, late: Late, when: string): Promise<unknown> => {
      const proxy = await LateProxy.start(port, late);
      const command = [join(CLIENTS, "gradio_late.py"), proxy.url, when];
      try {
        const { stdout } = await promisify(execFile)(interpreter, command);
        return JSON.parse(stdout) as unknown;
      } finally {
        proxy.stop();
      }
    };
    const lost = {
      failure: expect.stringMatching(/^(?:CancelledError|TimeoutError)$/) as string,
    };

    test("its own gradio_client loses a job that ends before its name is there", async () => {
      expect(await second(python, "name", "at-once")).toEqual(lost);
    });

    test("the current gradio_client does not", async () => {
      expect(await second(current, "name", "at-once")).toEqual({ answer: "finishes" });
    });

    test("both lose a job that is named while the stream closes", async () => {
      expect(await second(python, "close", "in-turn")).toEqual(lost);
      expect(await second(current, "close", "in-turn")).toEqual(lost);
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
