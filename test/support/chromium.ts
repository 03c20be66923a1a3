/** A real browser for the end-to-end tests: the machine's own Chromium, or the one that CHROMIUM names. */
import { existsSync } from "node:fs";
import { type Browser, chromium } from "playwright-core";

const PATHS = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];

/** Hosts other than this machine get no answer: no page waits for fonts or statistics of theirs. */
const THIS_MACHINE = ["localhost", "*.localhost", "127.0.0.1"].map((host) => `EXCLUDE ${host}`);
const NO_OTHER_HOSTS = `--host-resolver-rules=MAP * ~NOTFOUND, ${THIS_MACHINE.join(", ")}`;

/** Starts it; rejects where there is none. */
export async function startChromium(): Promise<Browser> {
  const executablePath = process.env["CHROMIUM"] ?? PATHS.find((path) => existsSync(path));
  if (executablePath === undefined) throw new Error("no Chromium; name one in CHROMIUM");
  // As root in a container there is no sandbox of the browser's own.
  return await chromium.launch({ executablePath, args: ["--no-sandbox", NO_OTHER_HOSTS] });
}
