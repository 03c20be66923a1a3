/** The real command in a process of its own, for tests of what its users see. */
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { onTestFinished } from "vitest";
import { ManagedProcess } from "../support/processes.ts";
import { temporaryDirectory } from "../support/temporary.ts";

export const COMMAND = fileURLToPath(new URL("../../cli/postern.js", import.meta.url));

export interface Finished {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Starts the command on this Node, in an empty directory; it ends with the test at the latest. */
export function startPostern(
  args: readonly string[],
  options: { readonly node?: string; readonly env?: NodeJS.ProcessEnv; readonly cwd?: string } = {},
): ManagedProcess {
  const started = new ManagedProcess([options.node ?? process.execPath, COMMAND, ...args], {
    cwd: options.cwd ?? temporaryDirectory(),
    env: { ...process.env, ...options.env },
  });
  onTestFinished(() => started.killTree());
  return started;
}

/** Runs the command to its end. */
export async function postern(
  args: readonly string[],
  options: Parameters<typeof startPostern>[1] = {},
): Promise<Finished> {
  const started = startPostern(args, options);
  const { code } = await started.exited;
  return { code, stdout: started.stdout, stderr: started.stderr };
}

/** A `postern gateway` on a port of the system's choice that has printed its URL. */
export async function startPosternGateway(
  flags: readonly string[] = [],
  options: Parameters<typeof startPostern>[1] = {},
): Promise<{ process: ManagedProcess; port: number; state: string }> {
  const state = join(temporaryDirectory(), "state");
  const args = ["gateway", "--port", "0", "--state", state, ...flags];
  const started = startPostern(args, options);
  const [, port = ""] = await started.waitForOutput(/^http:\/\/localhost:(\d+)$/m);
  return { process: started, port: Number(port), state };
}
