/** A person at the page of test/support/apps/streamlit_app.py, in a browser. */
import { readFileSync } from "node:fs";
import { expect } from "vitest";

import type { Visit } from "./visits.ts";

/** Counts in the session's state, uploads a file that the app reads, downloads one, and counts on. */
export const visitStreamlit: Visit = async (page, url, number) => {
  await page.goto(url);
  const places: string[] = [];
  const count = async (counted: number) => {
    await page.getByRole("button", { name: "count", exact: true }).click();
    const line = page.getByText(new RegExp(`^counted \\S+ ${counted}$`));
    places.push((await line.innerText()).split(" ")[1] ?? "");
  };
  for (const counted of [1, 2, 3]) await count(counted);
  const content = `content-${number}`;
  await page
    .locator("input[type=file]")
    .setInputFiles({ name: "note.txt", mimeType: "text/plain", buffer: Buffer.from(content) });
  const received = page.getByText(new RegExp(`^received \\S+ ${content}$`));
  places.push((await received.innerText()).split(" ")[1] ?? "");
  const [download] = await Promise.all([
    page.waitForEvent("download"),
    page.getByRole("button", { name: "download", exact: true }).click(),
  ]);
  const [place, ...rest] = readFileSync(await download.path(), "utf8").split(" ");
  places.push(place ?? "");
  expect(rest).toEqual(["downloaded"]);
  await count(4);
  return places;
};
