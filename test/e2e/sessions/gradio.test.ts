/** Twenty people at once at Gradio of each generation, on four containers of two boxes: each stays on one container. */
import { join } from "node:path";
import type { Browser } from "playwright-core";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";

import { startChromium } from "../../support/chromium.ts";
import { APPS } from "../../support/harness.ts";
import { gradioEndpoint, pythonSessions, startGradio } from "../../support/sessions/gradio.ts";
import { countBehindClose, visitGradio } from "../../support/sessions/gradio-page.ts";
import { LateProxy } from "../../support/sessions/late-proxy.ts";
import {
  expectEvenSessions,
  expectKeptSessions,
  failuresOf,
  type Sessions,
} from "../../support/sessions/outcomes.ts";
import { TwoBoxes } from "../../support/sessions/two-boxes.ts";
import { visits, visitsUntilFailure } from "../../support/sessions/visits.ts";
import { ensureSessionsVenv } from "../../support/venv.ts";

const PEOPLE = 20;
const CONTAINERS = 4;

let browser: Browser;
beforeAll(async () => {
  browser = await startChromium();
});
afterAll(async () => await browser.close());

/** Two boxes with the app under Gradio of one generation. */
class Generation {
  #boxes!: TwoBoxes;
  python = "";

  /** @param list of requirements, for Python */
  constructor(list: string) {
    beforeAll(async () => {
      [this.#boxes, this.python] = await Promise.all([TwoBoxes.start(), ensureSessionsVenv(list)]);
    });
    afterEach(({ task }) => {
      if (task.result?.state === "fail") console.log(this.#boxes.notices);
    });
    afterAll(async () => await this.#boxes.stop());
  }

  /** People at its pages. */
  get people(): Sessions {
    return visits(browser, visitGradio, async () => await this.#boxes.calls());
  }

  /** Deploys the app. Returns its URL. */
  async deploy(affinity: readonly string[]): Promise<string> {
    const endpoint = gradioEndpoint("ui", this.python, CONTAINERS);
    const app = join(APPS, "gradio_app.py");
    await this.#boxes.deploy([app], [{ ...endpoint, affinity: [...affinity] }]);
    return this.#boxes.url("ui");
  }
}

function peopleStay(generation: Generation): void {
  test(`${PEOPLE} people in Chromium stay each on one container, and each container has its part`, async () => {
    const url = await generation.deploy(["gradio"]);
    expectEvenSessions(await generation.people(url, PEOPLE), CONTAINERS);
  });
}

/** Why people at the pages above do one thing after the other. */
function pageLosesJob(generation: Generation): void {
  test("without Postern a page loses a job that is named while its stream closes", async () => {
    const { app, port } = await startGradio(generation.python);
    const proxy = await LateProxy.start(port, "close");
    const page = await browser.newPage();
    try {
      expect(await countBehindClose(page, proxy.url)).toBe("");
    } finally {
      await page.close();
      proxy.stop();
      await app.stop();
    }
  });
}

describe("Gradio 6", () => {
  const generation = new Generation("current");
  peopleStay(generation);
  pageLosesJob(generation);

  test("without affinity sessions of the same people are lost, which proves this test", async () => {
    const url = await generation.deploy(["none"]);
    const outcomes = await visitsUntilFailure(browser, visitGradio)(url, PEOPLE);
    expect(failuresOf(outcomes)).not.toEqual([]);
  });
});

describe.each([
  ["Gradio 5", "gradio-5"],
  ["Gradio 4", "gradio-4"],
])("%s", (_generation, list) => {
  const generation = new Generation(list);
  peopleStay(generation);
  pageLosesJob(generation);
});

// Its clients without a page name their session inside a WebSocket, where no gateway sees it in time.
describe("Gradio 3", () => {
  const generation = new Generation("gradio-3");
  peopleStay(generation);

  test(`${PEOPLE} clients stay each on one container by a header, and lose their state without`, async () => {
    const url = await generation.deploy(["gradio"]);
    const { python } = generation;
    expectKeptSessions(await pythonSessions(python, "Modal-Session-ID")(url, PEOPLE));
    expect(failuresOf(await pythonSessions(python)(url, PEOPLE))).not.toEqual([]);
  });

  test("by client-ip all clients at one address have one container", async () => {
    const url = await generation.deploy(["gradio", "client-ip"]);
    const outcomes = await pythonSessions(generation.python)(url, PEOPLE);
    expect(expectKeptSessions(outcomes).size).toBe(1);
  });
});
