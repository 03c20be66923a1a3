/** Streamlit and JupyterLab on four containers of two boxes, in Chromium: each person stays on one container. */
import { join } from "node:path";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, test } from "vitest";

import { startChromium } from "../../support/chromium.ts";
import { APPS, type EndpointTable } from "../../support/harness.ts";
import { visitJupyter } from "../../support/sessions/jupyter-page.ts";
import { expectEvenSessions } from "../../support/sessions/outcomes.ts";
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

const STREAMLIT =
  "exec $0 -m streamlit run streamlit_app.py --server.port $PORT --server.address 127.0.0.1 " +
  "--server.headless true --browser.gatherUsageStats false";
/** The lock is Postern's. Each has a folder of its own. */
const JUPYTER =
  "mkdir -p at-$PORT && exec $0 -m jupyterlab --no-browser --allow-root --ip 127.0.0.1 " +
  "--port $PORT --ServerApp.root_dir=$PWD/at-$PORT --IdentityProvider.token=";

test.each([
  ["streamlit", STREAMLIT, visitStreamlit, 8],
  ["jupyter", JUPYTER, visitJupyter, 4],
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
