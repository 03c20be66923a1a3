/** A person at the page of test/support/apps/gradio_app.py, in a browser. */
import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import type { Page } from "playwright-core";
import { expect } from "vitest";

import { PageJobs, until } from "./page-jobs.ts";
import { PATIENCE, type Visit } from "./visits.ts";

/** Each pixel is drawn by a processor. */
const VIEWPORT = { width: 640, height: 480 };
/** A page that listens has begun a job by then. */
const BEGUN_WITHIN_MS = 1_000;
/** A job's stream may stay open beside one that holds. */
const ENDED_WITHIN_MS = 10_000;
/** A page shows this where a stream of its session was lost. */
const LOST = "Connection to the server was lost";

/** Goes through everything that the page offers, and comes again by a reload. */
export const visitGradio: Visit = async (page, url, number) => {
  // The page says for a moment that its session is lost, and loads itself again.
  const { promise: isLost, reject } = Promise.withResolvers<never>();
  await page.exposeFunction("onLost", () => reject(new Error(LOST)));
  await page.addInitScript(WATCH);
  await page.addInitScript(KEEP_STILL);
  await page.setViewportSize(VIEWPORT);
  return await Promise.race([visit(page, url, number), isLost]);
};

/** Runs in the page. */
const WATCH = `new MutationObserver((changes) => {
  const added = changes.flatMap((change) => [...change.addedNodes]);
  if (added.some((node) => node.textContent.includes(${JSON.stringify(LOST)}))) onLost();
}).observe(document, { childList: true, subtree: true });`;

/**
 * Runs in the page: nobody looks. What moves while a job runs took three quarters of the processors' time, so that the
 * apps, the agents and the gateway got none for seconds.
 */
const KEEP_STILL = `{
  const draw = requestAnimationFrame;
  requestAnimationFrame = (callback) => setTimeout(() => draw(callback), 250);
  cancelAnimationFrame = clearTimeout;
  addEventListener("DOMContentLoaded", () => {
    const still = document.createElement("style");
    still.textContent = "*, ::before, ::after { animation: none !important; transition: none !important }";
    document.head.append(still);
  });
}`;

const visit: Visit = async (page, url, number) => {
  const jobs = new PageJobs(page);
  const places: string[] = [];
  try {
    await goThrough(page, jobs, url, number, places);
  } catch (error) {
    const at = `${new Date().toISOString()}, after ${places.length} steps at ${places.at(-1)}`;
    throw new Error(`${at}: ${String(error)}\n${jobs.open}`, { cause: error });
  }
  return places;
};

/** @param places gets the process that served each step */
async function goThrough(
  page: Page,
  jobs: PageJobs,
  url: string,
  number: number,
  places: string[],
): Promise<void> {
  await page.goto(url);
  await listens(page, jobs);
  /** Waits until an output ends with these words; the process stands before them. */
  const shows = async (output: string, words: string) => {
    await expect
      .poll(async () => await outputOf(page, output), PATIENCE)
      .toMatch(endingWith(words));
    places.push((await outputOf(page, output)).slice(0, -words.length - 1));
  };
  const click = async (button: string, words: string, output = "#seen") => {
    await press(page, button, jobs);
    await shows(output, words);
  };
  for (const counted of ["1", "2", "3"]) await click("count", counted);
  await click("stream", "part 4");

  const content = `content-${number}`;
  const note = { name: `note-${number}.txt`, mimeType: "text/plain", buffer: Buffer.from(content) };
  await jobs.rest();
  await page.locator("#file input[type=file]").setInputFiles(note);
  await shows("#told", "received");
  await press(page, "stamp", jobs);
  const link = page.locator("#stamped a").first();
  await link.waitFor();
  const [download] = await Promise.all([page.waitForEvent("download"), link.click()]);
  const [place, ...rest] = readFileSync(await download.path(), "utf8").split(" ");
  places.push(place ?? "");
  expect(rest).toEqual([content]);

  await page.locator("#name").locator("textarea, input").fill(randomUUID());
  await press(page, "work", jobs);
  await page.getByText("at work").first().waitFor();
  await press(page, "finish");
  await Promise.all([shows("#told", "finishes"), shows("#seen", "worked")]);
  // A job that never ends is seen at work: its output streams.
  await click("hold", "holds");
  await press(page, "cancel");
  await isFree(page, jobs);
  await click("count", "4");

  // A page that is loaded anew is another session for Gradio, and the same person for Postern.
  await page.reload();
  await listens(page, jobs);
  await click("count", "1");
}

/**
 * Asks for a count, at an app whose stream of events closes late (LateProxy).
 * @returns what the page shows of it when nothing is open any more
 */
export async function countBehindClose(page: Page, url: string): Promise<string> {
  const jobs = new PageJobs(page);
  await page.goto(url);
  await expect
    .poll(async () => {
      const { asked } = jobs;
      await press(page, "holding");
      await until(() => jobs.asked > asked, BEGUN_WITHIN_MS);
      return jobs.asked;
    }, PATIENCE)
    .toBeGreaterThan(0);
  await expect
    .poll(async () => await outputOf(page, "#told"), PATIENCE)
    .toMatch(endingWith("free"));
  await press(page, "count");
  await expect.poll(() => jobs.isAtRest, PATIENCE).toBe(true);
  return await outputOf(page, "#seen");
}

/** A page shows its buttons before it listens to them: asks for what changes nothing until it answers. */
const listens = isFree;

/** Asks one time after the other whether the job that holds has ended. */
async function isFree(page: Page, jobs: PageJobs): Promise<void> {
  await expect
    .poll(async () => {
      const { asked } = jobs;
      await press(page, "holding", jobs);
      await until(() => jobs.asked > asked, BEGUN_WITHIN_MS);
      await until(() => jobs.isAtRest, ENDED_WITHIN_MS);
      return await outputOf(page, "#told");
    }, PATIENCE)
    .toMatch(endingWith("free"));
}

const endingWith = (words: string) => new RegExp(` ${words}$`);

async function outputOf(page: Page, output: string): Promise<string> {
  return await page.locator(output).locator("textarea, input").inputValue();
}

/** @param jobs that are to be over: others are beside the new one */
async function press(page: Page, button: string, jobs?: PageJobs): Promise<void> {
  await jobs?.rest();
  await page.getByRole("button", { name: button, exact: true }).click();
}
