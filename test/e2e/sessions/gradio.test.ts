/** Gradio of earlier generations on four containers of two boxes: each session stays on one container. */
import { join } from "node:path";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, describe, test } from "vitest";

import { startChromium } from "../../support/chromium.ts";
import { APPS } from "../../support/harness.ts";
import { gradioEndpoint } from "../../support/sessions/gradio.ts";
import { visitGradio } from "../../support/sessions/gradio-page.ts";
import { expectKeptSessions } from "../../support/sessions/outcomes.ts";
import { TwoBoxes } from "../../support/sessions/two-boxes.ts";
import { visits } from "../../support/sessions/visits.ts";
import { ensureSessionsVenv } from "../../support/venv.ts";

const PEOPLE = 4;
const CONTAINERS = 4;

let browser: Browser;
beforeAll(async () => {
  browser = await startChromium();
});
afterAll(async () => await browser.close());

describe.each([
  ["5", "gradio-5"],
  ["4", "gradio-4"],
])("Gradio %s", (_generation, list) => {
  let boxes: TwoBoxes;
  beforeAll(async () => {
    let python: string;
    [boxes, python] = await Promise.all([TwoBoxes.start(), ensureSessionsVenv(list)]);
    const endpoint = { ...gradioEndpoint("kept", python, CONTAINERS), affinity: "gradio" };
    await boxes.deploy([join(APPS, "gradio_app.py")], [endpoint]);
  });
  afterAll(async () => await boxes.stop());

  test(`${PEOPLE} people in Chromium at once stay each on one container`, async () => {
    expectKeptSessions(await visits(browser, visitGradio)(boxes.url("kept"), PEOPLE));
  });
});
