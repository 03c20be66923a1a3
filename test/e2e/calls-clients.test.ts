/**
 * A slow POST as real clients see it: seven seconds of work behind a request timeout of one. Each follows
 * the redirects in its own way, repeats the POST or does not, and gets the answer of work that ran once. Clients that
 * follow none are held, behind the front as well.
 */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { startChromium } from "../support/chromium.ts";
import {
  CLIENTS,
  type ClientAnswer,
  type ClientPrograms,
  prepareClients,
  run,
} from "../support/clients/clients.ts";
import { APPS, type Gateway, startUp } from "../support/harness.ts";
import { Stages, answerOf } from "../support/stages.ts";

const WORK_SECONDS = 7;

/** Longer than each limit on a silent connection that the front and workerd have. */
const HELD_SECONDS = 20;

let stages: Stages;
let programs: ClientPrograms;
let browser: Browser;
/** An origin of its own: nothing but an empty page. */
const pages = createServer((_request, response) => {
  response.setHeader("content-type", "text/html").end("<!doctype html>");
});
beforeAll(async () => {
  [stages, programs, browser] = await Promise.all([
    Stages.start(),
    prepareClients(),
    startChromium(),
  ]);
  await new Promise<void>((resolve) => {
    pages.listen(0, "127.0.0.1", resolve);
  });
});
afterAll(async () => {
  await browser.close();
  pages.close();
  await stages.close();
});

async function startPostern(requestTimeout: string, ...flags: string[]): Promise<Gateway> {
  const postern = await startUp(
    [
      {
        function: "slow",
        web_server: ["node", `${APPS}/staged-server.ts`],
        env: { STAGES: stages.url },
        max_inputs: 100,
        cors: true,
      },
    ],
    { flags: ["--request-timeout", requestTimeout, ...flags] },
  );
  return postern;
}

function urlOf(postern: Gateway, key: string, seconds: number): string {
  const query = new URLSearchParams({ key, seconds: `${seconds}` });
  return `http://${postern.address("slow").host}/work?${query.toString()}`;
}

/** A page of another origin asks, with a header that needs a preflight. */
async function askInBrowser(url: string): Promise<ClientAnswer> {
  const context = await browser.newContext();
  try {
    const page = await context.newPage();
    await page.goto(`http://127.0.0.1:${(pages.address() as AddressInfo).port}/`);
    return await page.evaluate(async (target) => {
      const response = await fetch(target, {
        method: "POST",
        headers: { "content-type": "application/json", "x-purpose": "test" },
        body: '"question"',
      });
      return { status: response.status, text: await response.text() };
    }, url);
  } finally {
    await context.close();
  }
}

interface Asker {
  readonly name: string;
  readonly isHeld?: boolean | undefined;
  readonly ask: (url: string) => Promise<ClientAnswer>;
}

const ALL: readonly Asker[] = [
  ...CLIENTS.map(({ name, command, isHeld }) => ({
    name,
    isHeld,
    ask: async (url: string) => await run(command(programs, url)),
  })),
  { name: "Chromium fetch across origins", ask: askInBrowser },
];

describe("work of 7 s behind a request timeout of 1 s", () => {
  let postern: Gateway;
  let fronted: Gateway;
  beforeAll(async () => {
    [postern, fronted] = await Promise.all([
      startPostern("1"),
      startPostern("1", "--front", "always"),
    ]);
  });
  afterAll(async () => {
    await postern.stop();
    await fronted.stop();
  });

  test.concurrent.for(ALL)("is answered to $name and ran once", async ({ name, ask }) => {
    const key = `answer/${name}`;
    const { status, text } = await ask(urlOf(postern, key, WORK_SECONDS));
    expect(status).toBe(200);
    // The OpenAI SDKs are answered in their own terms.
    expect(text).toBe(name.startsWith("OpenAI") ? key : answerOf(key));
    expect(stages.executions(key)).toHaveLength(1);
  });

  test.concurrent.for(ALL.filter(({ isHeld = false }) => isHeld))(
    "is answered to $name behind the front, where it takes 20 s",
    async ({ name, ask }) => {
      const key = `held/${name}`;
      const answer = await ask(urlOf(fronted, key, HELD_SECONDS));
      expect(answer).toMatchObject({ status: 200, text: answerOf(key) });
      expect(stages.executions(key)).toHaveLength(1);
    },
  );
});

describe("work that takes longer than a client's redirects", () => {
  let postern: Gateway;
  beforeAll(async () => {
    postern = await startPostern("0.2");
  });
  afterAll(async () => await postern.stop());

  const redirected = ALL.filter(({ isHeld = false }) => !isHeld);
  test.concurrent.for(redirected)(
    "ends for $name in the 202, and ran once",
    async ({ name, ask }) => {
      const key = `pending/${name}`;
      stages.hold(key, "running");
      const { status, text } = await ask(urlOf(postern, key, 0));
      expect(status).toBe(202);
      expect(JSON.parse(text)).toMatchObject({ status: "running", result_url: expect.any(String) });
      expect(stages.executions(key)).toHaveLength(1);
      stages.release(key);
    },
  );
});
