/** People at the pages of an app, each in a browser profile of their own, all at once. */
import type { Browser, Page } from "playwright-core";

import type { SessionOutcome, Sessions } from "./outcomes.ts";

/** Twenty pages at once keep two cores busy for a while. */
const PATIENCE_MS = 240_000;
/** A look at a page costs too. */
const LOOK_EVERY_MS = 250;
export const PATIENCE = { timeout: PATIENCE_MS, interval: LOOK_EVERY_MS };

/** What the browser saw last of what may be why a person failed. */
const LAST_SIGNS = 10;

/** What a person does at the page of an app. Returns the processes that served the steps. */
export type Visit = (page: Page, url: string, number: number) => Promise<string[]>;

/** @param whatRuns at the boxes, told of while the page of a person who failed is still open */
export function visits(browser: Browser, visit: Visit, whatRuns?: () => Promise<string>): Sessions {
  return async (url, count) =>
    await Promise.all(
      Array.from({ length: count }, async (_, number) => {
        return await come(browser, visit, url, number, whatRuns);
      }),
    );
}

/** As `visits`, where some are to fail: all end with the first that does. */
export function visitsUntilFailure(browser: Browser, visit: Visit): Sessions {
  return async (url, count) => {
    const { promise: hasFailed, reject } = Promise.withResolvers<never>();
    const visitOrLeave: Visit = async (...all) => {
      const visited = visit(...all);
      visited.catch(reject);
      return await Promise.race([visited, hasFailed]);
    };
    return await visits(browser, visitOrLeave)(url, count);
  };
}

async function come(
  browser: Browser,
  visit: Visit,
  url: string,
  number: number,
  whatRuns: () => Promise<string> = async () => await Promise.resolve(""),
): Promise<SessionOutcome> {
  const context = await browser.newContext();
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE_MS);
  const signs: string[] = [];
  page.on("response", (response) => {
    if (response.status() >= 400) signs.push(`${response.status()} ${response.url()}`);
  });
  page.on("requestfailed", (request) => {
    const { errorText = "" } = request.failure() ?? {};
    if (request.url().startsWith(url)) signs.push(`${errorText} ${request.url()}`);
  });
  page.on("console", (message) => {
    if (message.type() === "error") signs.push(message.text());
  });
  try {
    return { places: await visit(page, url, number) };
  } catch (error) {
    const running = await whatRuns();
    return { failure: [String(error), ...signs.slice(-LAST_SIGNS), running].join("\n") };
  } finally {
    await context.close();
  }
}
