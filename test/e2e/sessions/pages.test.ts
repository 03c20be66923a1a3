/** Streamlit and JupyterLab on four containers of two boxes, in Chromium: each person stays on one container. */
import { join } from "node:path";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, test } from "vitest";

import { startChromium } from "../../support/chromium.ts";
import { APPS, type EndpointTable } from "../../support/harness.ts";
import { visitJupyter } from "../../support/sessions/jupyter-page.ts";
import { expectEvenSessions } from "../../support/sessions/outcomes.ts";
import { JUPYTER, STREAMLIT } from "../../support/sessions/page-commands.ts";
import { visitStreamlit } from "../../support/sessions/streamlit-page.ts";
import { TwoBoxes } from "../../support/sessions/two-boxes.ts";
import { visits } from "../../support/sessions/visits.ts";
import { ensureSessionsVenv } from "../../support/venv.ts";

const CONTAINERS = 4;

let boxes: TwoBoxes;
let browser: Browser;
let python: string;
beforeAll(async () => {
  python = await ensureSessionsVenv("pages");
  [boxes, browser] = await Promise.all([TwoBoxes.start(), startChromium()]);
});
afterAll(async () => {
  await browser.close();
  await boxes.stop();
});

test.each([
  ["streamlit", STREAMLIT, visitStreamlit, 8],
  // Each has a folder of its own.
  ["jupyter", `mkdir -p at-$PORT && ${JUPYTER}$PWD/at-$PORT`, visitJupyter, 4],
] as const)("%s: people at once stay each on one container", async (...row) => {
  const [kind, command, visit, people] = row;
  const endpoint: EndpointTable = {
    function: kind,
    web_server: ["sh", "-c", command, python],
    // With it JupyterLab takes requests whose name it does not know.
    app_kind: kind,
    max_inputs: 200,
    min_containers: CONTAINERS,
    max_containers: CONTAINERS,
  };
  await boxes.deploy([join(APPS, "streamlit_app.py")], [endpoint]);
  const outcomes = await visits(browser, visit)(boxes.url(kind), people);
  expectEvenSessions(outcomes, CONTAINERS);
});
