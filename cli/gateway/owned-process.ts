/**
 * The part that the gateway's child processes, workerd and Caddy, have in common: they end with this process, however
 * that ends, and one that dies is started again.
 */

import { spawn, type ChildProcess } from "node:child_process";

/** A process that lived shorter than this is started again after a pause. */
const SHORT_LIFE_MS = 1_000;
const FIRST_PAUSE_MS = 100;
const MAX_PAUSE_MS = 5_000;

/** The pauses between two starts of one program. */
export class RestartPauses {
  #pauseMs = FIRST_PAUSE_MS;

  /** Milliseconds until the next start, from how long the last process lived. */
  next(livedMs: number): number {
    if (livedMs >= SHORT_LIFE_MS) {
      this.#pauseMs = FIRST_PAUSE_MS;
      return 0;
    }
    const pause = this.#pauseMs;
    this.#pauseMs = Math.min(pause * 2, MAX_PAUSE_MS);
    return pause;
  }
}

/**
 * Kills a process when this process ends: the kernel closes the pipe to a shell, which then kills it. Programs have no
 * such option of their own.
 * @returns the shell, to be killed when the process has ended
 */
export function endWithThisProcess(pid: number): ChildProcess {
  const watcher = spawn("/bin/sh", ["-c", 'read -r _; kill -9 "$1"', "sh", String(pid)], {
    stdio: ["pipe", "ignore", "ignore"],
    detached: true,
  });
  // Without a shell the next start ends an orphaned workerd (endOrphan).
  watcher.on("error", () => undefined);
  watcher.unref();
  return watcher;
}

/** How a child process ended, once it has. */
export async function exitOf(child: ChildProcess): Promise<string> {
  if (child.exitCode === null && child.signalCode === null && child.pid !== undefined) {
    const { promise, resolve } = Promise.withResolvers<void>();
    child.once("exit", () => resolve());
    await promise;
  }
  return child.signalCode ?? `exit code ${child.exitCode}`;
}
