/** Bundles the Worker's sources into the one module that workerd loads; takes about 50 ms. */

import { join } from "node:path";
import { build, stop } from "esbuild";
import { CommandFailure, reasonOf } from "../failure.ts";

/** @param main the entry point, relative to the package's root */
export async function bundleWorker(root: string, main: string): Promise<string> {
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
    // Otherwise esbuild's process would stay as long as the gateway.
    await stop();
  }
}
