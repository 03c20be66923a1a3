/**
 * Starts a command under watch.sh, where a machine has nothing to supervise it with. The command's group ends for
 * certain. Linux finds processes that left the group by a variable of their environment, and none without it.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

import type { ExitInfo } from "./exit-info.ts";
import { stdioOf } from "./command-descriptors.ts";
import { exitOfError, type LaunchedCommand, type LaunchOptions } from "./launched-command.ts";
import { launchCommand } from "./launcher.ts";
import { processesWithVariable, signalQuietly } from "./linux-processes.ts";

const WATCH = fileURLToPath(new URL("watch.sh", import.meta.url));

export class WatchedCommand implements LaunchedCommand {
  readonly child: ChildProcess;
  readonly supervisor = undefined;
  readonly pipes = Promise.resolve(undefined);
  readonly started: Promise<number | undefined>;
  readonly leaderExited: Promise<ExitInfo>;
  readonly gone: Promise<void>;
  readonly #options: LaunchOptions;
  readonly #killed = Promise.withResolvers<void>();
  #isGone = false;

  constructor(options: LaunchOptions) {
    this.#options = options;
    const child = spawn("/bin/sh", [WATCH, options.markedBy, ...launchCommand(options)], {
      cwd: options.directory,
      env: options.environment,
      // A session of its own: the terminal's Ctrl-C is for the agent, and the group's number is the pid.
      detached: true,
      // Nothing is ever written to descriptor 3: it closes when the agent is gone (see watch.sh).
      stdio: stdioOf(options.withChannel ?? false),
    });
    this.child = child;
    this.started = Promise.resolve(child.pid);
    this.leaderExited = new Promise((resolve) => {
      child.once("exit", (code, signal) => resolve({ code, signal }));
      child.once("error", (error) => resolve(exitOfError(error)));
    });
    this.gone = Promise.all([this.leaderExited, this.#killed.promise]).then(() => {
      this.#isGone = true;
    });
  }

  /** The group's number can't have gone to others: the watcher holds it until the kill. */
  signal(signal: NodeJS.Signals): void {
    const { pid } = this.child;
    if (!this.#isGone && pid !== undefined) signalQuietly(-pid, signal);
  }

  kill(): void {
    this.signal("SIGKILL");
    this.#killed.resolve();
    if (this.#isGone || this.child.pid === undefined) return;
    const { markedBy, environment } = this.#options;
    for (const pid of processesWithVariable(markedBy, environment[markedBy] ?? "")) {
      signalQuietly(pid, "SIGKILL");
    }
  }
}
