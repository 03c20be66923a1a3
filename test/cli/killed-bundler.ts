/** Bundles the Worker; esbuild's process is killed before it says anything, as by a Ctrl-C in a start. */
import childProcess from "node:child_process";
import { syncBuiltinESMExports } from "node:module";

/** Longer than the process takes to end, so that its end and that of its output are noticed at once. */
const ENDING_MS = 100;

const { spawn } = childProcess;
childProcess.spawn = ((...args: Parameters<typeof spawn>) => {
  const child = spawn(...args);
  child.once("spawn", () => {
    child.kill("SIGKILL");
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ENDING_MS);
  });
  return child;
}) as typeof spawn;
syncBuiltinESMExports();

const { bundleWorker } = await import("../../cli/gateway/bundle.ts");
const { PACKAGE_ROOT, readWorkerManifest } = await import("../../cli/gateway/worker-manifest.ts");
try {
  await bundleWorker(PACKAGE_ROOT, readWorkerManifest().main);
} catch (error) {
  console.log((error as Error).message);
}
