/** Current Gradio on four containers of two boxes, by its real clients: each session stays on one container. */
import { join } from "node:path";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";

import { startChromium } from "../support/chromium.ts";
import { installNodeLibraries } from "../support/clients/clients.ts";
import { APPS } from "../support/harness.ts";
import {
  curlSessions,
  gradioEndpoint,
  nodeSessions,
  pythonSessions,
} from "../support/sessions/gradio.ts";
import { visitGradio } from "../support/sessions/gradio-page.ts";
import {
  expectEvenSessions,
  expectKeptSessions,
  failuresOf,
  type SessionOutcome,
  type Sessions,
} from "../support/sessions/outcomes.ts";
import { TwoBoxes } from "../support/sessions/two-boxes.ts";
import { visits } from "../support/sessions/visits.ts";
import { ensureSessionsVenv } from "../support/venv.ts";

const SESSIONS = 20;
const CONTAINERS = 4;
/** Each keeps a core busy for some seconds. */
const PAGES = 4;
/** The first run makes the Python environment. */
const SETUP_TIMEOUT_MS = 600_000;
const SESSIONS_TIMEOUT_MS = 180_000;

let boxes: TwoBoxes;
let browser: Browser;
let python: string;
beforeAll(async () => {
  [python] = await Promise.all([ensureSessionsVenv(), installNodeLibraries()]);
  [boxes, browser] = await Promise.all([TwoBoxes.start(), startChromium()]);
  const kept = { ...gradioEndpoint("kept", python, CONTAINERS), affinity: "gradio" };
  const bare = gradioEndpoint("bare", python, 2);
  await boxes.deploy([join(APPS, "gradio_app.py")], [kept, bare]);
}, SETUP_TIMEOUT_MS);
afterAll(async () => {
  await browser.close();
  await boxes.stop();
});

const KINDS: readonly (readonly [string, () => Sessions])[] = [
  ["gradio_client", () => pythonSessions(python)],
  ["@gradio/client", () => nodeSessions],
  ["curl in two steps", () => curlSessions],
];

/** All that the endpoint has had: a container with fewer gets the next ones. */
const sessions: SessionOutcome[] = [];

test.each(KINDS)(
  `${SESSIONS} sessions of %s at once stay each on one container, and each container has its part`,
  async (_client, kind) => {
    sessions.push(...(await kind()(boxes.url("kept"), SESSIONS)));
    expectEvenSessions(sessions, CONTAINERS);
  },
  SESSIONS_TIMEOUT_MS,
);

test(
  "people in Chromium stay each on one container, with uploads, streams and reloads",
  async () => {
    expectKeptSessions(await visits(browser, visitGradio)(boxes.url("kept"), PAGES));
  },
  SESSIONS_TIMEOUT_MS,
);

test("without affinity sessions are lost, which proves these tests", async () => {
  const outcomes = await curlSessions(boxes.url("bare"), SESSIONS);
  expect(failuresOf(outcomes)).not.toEqual([]);
});
