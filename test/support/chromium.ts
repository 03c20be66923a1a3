/** A real browser for the end-to-end tests: the machine's own Chromium, or the one that CHROMIUM names. */
import { existsSync } from "node:fs";
import { type Browser, chromium } from "playwright-core";

const PATHS = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];

/** Starts it; rejects where there is none. */
export async function startChromium(): Promise<Browser> {
  const executablePath = process.env["CHROMIUM"] ?? PATHS.find((path) => existsSync(path));
  if (executablePath === undefined) throw new Error("no Chromium; name one in CHROMIUM");
  // Whoever tests as root in a container has no sandbox of the browser's own.
  return await chromium.launch({ executablePath, args: ["--no-sandbox"] });
}
