/** Bundles the Worker's sources into the one module that workerd loads; takes about 50 ms. */

import { join } from "node:path";
import { build, stop } from "esbuild";
import { CommandFailure, reasonOf } from "../failure.ts";

/** Any length does: a timer's existence is what counts. */
const AWAKE_MS = 60_000;

/** @param main the entry point, relative to the package's root */
export async function bundleWorker(root: string, main: string): Promise<string> {
  // esbuild keeps Node alive by its process alone. When that is killed, Node must live on to read what it has left and
  // to fail this build; else Node ends in the middle of an `await`.
  const awake = setInterval(() => undefined, AWAKE_MS);
  try {
    const result = await build({
      absWorkingDir: root,
      entryPoints: [join(root, main)],
      bundle: true,
      write: false,
      format: "esm",
      target: "es2024",
      conditions: ["workerd", "worker", "browser"],
      external: ["cloudflare:*", "node:*"],
      legalComments: "none",
      logLevel: "silent",
    });
    const [output] = result.outputFiles;
    if (output === undefined) throw new CommandFailure("the Worker's bundle is empty");
    return output.text;
  } catch (error) {
    // A Ctrl-C reaches esbuild's process as well, which ends first.
    throw error instanceof CommandFailure
      ? error
      : new CommandFailure(`can't bundle the Worker: ${reasonOf(error)}`);
  } finally {
    clearInterval(awake);
    // Otherwise esbuild's process would stay as long as the gateway.
    await stop();
  }
}
