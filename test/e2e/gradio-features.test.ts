/** What Gradio's guides on performance and cleanup promise, behind Postern: queues, batches, examples, files, unload events. */
import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";

import { APPS, type Gateway, startUp } from "../support/harness.ts";
import { send } from "../support/http-client.ts";
import { CLIENTS } from "../support/sessions/outcomes.ts";
import { ensureSessionsVenv } from "../support/venv.ts";

/** The first run makes the Python environment. */
const SETUP_TIMEOUT_MS = 600_000;
const FEATURES_TIMEOUT_MS = 180_000;

/** What test/support/clients/gradio_features.py prints. */
interface Seen {
  readonly batches: readonly number[];
}

let python: string;
let postern: Gateway;
beforeAll(async () => {
  python = await ensureSessionsVenv();
  postern = await startUp([
    {
      function: "ui",
      web_server: [python, join(APPS, "gradio_features_app.py")],
      env: { GRADIO_ANALYTICS_ENABLED: "False" },
      affinity: "gradio",
      max_inputs: 100,
    },
  ]);
  // Gradio's client gives up after 5 s, which a cold start may take.
  await send(postern.address("ui"), "/config", { timeoutMs: SETUP_TIMEOUT_MS });
}, SETUP_TIMEOUT_MS);
afterAll(async () => await postern.stop());

test(
  "limits of the queue and of an event, batches, cached examples, files that are cleaned up, and unload events",
  async () => {
    const { host } = postern.address("ui");
    const command = [join(CLIENTS, "gradio_features.py"), `http://${host}`];
    const { stdout } = await promisify(execFile)(python, command, {
      timeout: FEATURES_TIMEOUT_MS,
    });
    const { batches, ...seen } = JSON.parse(stdout) as Seen;
    const eight = [0, 1, 2, 3, 4, 5, 6, 7];
    expect(seen).toEqual({
      made_at_start: 2,
      example: "made of two",
      made_by_example: 0,
      limited: eight.map((number) => `limited ${number}`),
      most_at_once: 2,
      trimmed: ["ab", "bc", "cd", "de", "ef", "fg", "gh", "hi"],
      shouted: eight.map((number) => `WORD ${number}`),
      gated: 17,
      refused: ["Queue is full! Please try again."],
      uploaded: expect.stringMatching(/\/note\.txt$/) as string,
      is_cleaned_up: true,
      is_unloaded: true,
    });
    // 16 calls in fewer batches, by both ways to bind them.
    expect(batches.reduce((sum, size) => sum + size, 0)).toBe(16);
    expect(batches.length).toBeLessThan(16);
  },
  FEATURES_TIMEOUT_MS,
);
