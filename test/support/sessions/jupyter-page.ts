/** A person at JupyterLab, in a browser: a notebook whose kernel tells which server has started it. */
import type { Page } from "playwright-core";

import type { Visit } from "./visits.ts";

/** Prints the server's process and a count that the kernel keeps. */
const CODE =
  "import os\ncount = globals().get('count', 0) + 1\nprint('place', os.getppid(), count)";

/** Opens a notebook, runs its cell again and again, and goes on with the same kernel after a reload. */
export const visitJupyter: Visit = async (page, url) => {
  const places: string[] = [];
  await page.goto(`${url}/lab?reset`);
  await page.locator('.jp-LauncherCard[data-category="Notebook"]').first().click();
  await page.locator(".jp-Notebook .cm-content").first().click();
  await page.keyboard.insertText(CODE);
  for (const counted of [1, 2, 3]) places.push(await runCell(page, counted));
  await page.keyboard.press("Control+s");
  // A notebook without a name of its own: the page asks for one.
  await page.locator(".jp-Dialog .jp-mod-accept").click();
  await page.locator(".jp-mod-dirty").waitFor({ state: "detached" });
  await page.goto(page.url().replace(/\?reset.*$/, ""));
  await page.locator(".jp-Notebook .cm-content").first().click();
  places.push(await runCell(page, 4));
  return places;
};

async function runCell(page: Page, counted: number): Promise<string> {
  await page.getByText("| Idle").waitFor();
  await page.keyboard.press("Control+Enter");
  const output = page.locator(".jp-OutputArea-output");
  const line = output.filter({ hasText: new RegExp(`^place \\d+ ${counted}\\s*$`) });
  return (await line.innerText()).trim().split(" ")[1] ?? "";
}
