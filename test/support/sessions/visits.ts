/** People at the pages of an app, each in a browser profile of their own, all at once. */
import type { Browser, Page } from "playwright-core";

import type { SessionOutcome, Sessions } from "./outcomes.ts";

/** Twenty pages at once keep two cores busy for a while. */
export const PATIENCE_MS = 120_000;

/** What a person does at the page of an app. Returns the processes that served the steps. */
export type Visit = (page: Page, url: string, number: number) => Promise<string[]>;

export function visits(browser: Browser, visit: Visit): Sessions {
  return async (url, count) =>
    await Promise.all(
      Array.from({ length: count }, async (_, number) => await come(browser, visit, url, number)),
    );
}

async function come(
  browser: Browser,
  visit: Visit,
  url: string,
  number: number,
): Promise<SessionOutcome> {
  const context = await browser.newContext();
  try {
    // Fonts and statistics of other hosts: a test asks its own machine alone.
    await context.route(
      (target) => target.host !== new URL(url).host,
      async (route) => await route.abort(),
    );
    const page = await context.newPage();
    page.setDefaultTimeout(PATIENCE_MS);
    return { places: await visit(page, url, number) };
  } catch (error) {
    return { failure: String(error) };
  } finally {
    await context.close();
  }
}
