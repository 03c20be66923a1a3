/**
 * A command with everything that it starts: its output as lines, its end polite where there is time and
 * certain in any case. Knows nothing of servers, ports or readiness.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { Duplex } from "node:stream";
import { fileURLToPath } from "node:url";

import { within } from "../../base/runtime/within.ts";
import { type AppUser, commandAs } from "../app-user.ts";
import type { LogStream } from "../logs/log-record.ts";
import type { ExitInfo } from "./container.ts";
import { processesWithVariable } from "./linux-processes.ts";
import { LineSplitter } from "./output-lines.ts";
import { OutputBudget, OutputLimiter } from "./output-limiter.ts";

const LAUNCHER = fileURLToPath(new URL("launch.sh", import.meta.url));

/** Where a command that was given a channel finds it. */
export const CHANNEL_DESCRIPTOR = 4;

/** Exit codes of a shell for what can't be run and for what is not there (POSIX, 2.8.2). */
export const NOT_EXECUTABLE = 126;
export const NOT_FOUND = 127;
/** EX_OSERR of sysexits.h: the system has no descriptor, process or memory left. */
const NO_RESOURCES = 71;

/** Errors of spawn() that the next start would meet too: the directory is missing or closed. */
const PERMANENT_ERRORS: ReadonlySet<string | undefined> = new Set(["ENOENT", "EACCES", "ENOTDIR"]);

/** A killed process ends at once, unless the kernel holds it in a driver that hangs. */
const KILL_TIMEOUT_MS = 5_000;

/** After the end, pipes that somebody outside the group still holds are read this long. */
const LAST_OUTPUT_MS = 1_000;

export interface ProcessGroupOptions {
  readonly command: readonly string[];
  readonly directory: string;
  readonly environment: Readonly<Record<string, string>>;
  /** Runs the command; without one the agent's own user does. */
  readonly user?: AppUser | undefined;
  /** A variable of the environment that no other group has: it finds those that left this one. */
  readonly markedBy: string;
  /** Opens a socket to the command: its `CHANNEL_DESCRIPTOR`. */
  readonly withChannel?: boolean;
  /** Hears each line of its output, and what Postern has to say among them. */
  readonly onLine: (line: string, stream: LogStream) => void;
}

export class ProcessGroup {
  /** How the command itself ended; others of its group may still be there. */
  readonly leaderExited: Promise<ExitInfo>;
  /** Resolves when the whole group has ended and its output has been passed on. */
  readonly exited: Promise<ExitInfo>;
  readonly #options: ProcessGroupOptions;
  readonly #child: ChildProcess;
  readonly #outputClosed: Promise<unknown>;
  readonly #graceOver = Promise.withResolvers<void>();
  readonly #budget = new OutputBudget();
  #asked = false;
  #over = false;

  /** Never throws: a command that can't be started is one that ends at once, and says why. */
  constructor(options: ProcessGroupOptions) {
    this.#options = options;
    const [program = "", ...words] = commandAs(options.user, ["/bin/sh", LAUNCHER]);
    const child = spawn(program, [...words, ...options.command], {
      cwd: options.directory,
      env: options.environment,
      // A session of its own: the terminal's Ctrl-C is for the agent, and the group's number is the pid.
      detached: true,
      // Nothing is ever written to descriptor 3: it closes when the agent is gone (see launch.sh).
      stdio: ["ignore", "pipe", "pipe", "pipe", options.withChannel === true ? "pipe" : "ignore"],
    });
    this.#child = child;
    this.#outputClosed = Promise.all([
      this.#read(child.stdout, "stdout"),
      this.#read(child.stderr, "stderr"),
    ]);
    this.leaderExited = new Promise((resolve) => {
      child.once("exit", (code, signal) => resolve({ code, signal }));
      child.once("error", (error: NodeJS.ErrnoException) => {
        const line = `postern: can't be started in ${options.directory}: ${error.message}`;
        options.onLine(line, "postern");
        const code = PERMANENT_ERRORS.has(error.code) ? NOT_FOUND : NO_RESOURCES;
        resolve({ code, signal: null });
      });
    });
    this.exited = this.#end();
  }

  /** The agent's end of it. */
  get channel(): Duplex | undefined {
    const channel = pipesOf(this.#child)[CHANNEL_DESCRIPTOR];
    return channel instanceof Duplex ? channel : undefined;
  }

  /** The group's number; undefined when nothing could be started. */
  get pid(): number | undefined {
    return this.#child.pid;
  }

  /**
   * Sends the signal to every process of the group, gives them the grace period and kills the rest.
   * Resolves with false when something is still there 5 s later.
   */
  async stop(signal: NodeJS.Signals, graceMs: number): Promise<boolean> {
    this.#asked = true;
    this.#signal(signal);
    const grace = setTimeout(() => {
      this.#kill();
      this.#graceOver.resolve();
    }, graceMs);
    const gone = await within(
      graceMs + KILL_TIMEOUT_MS,
      this.exited.then(() => true),
    );
    clearTimeout(grace);
    return gone === true;
  }

  async #end(): Promise<ExitInfo> {
    const exit = await this.leaderExited;
    // Workers that were asked to end with their leader may still be finishing; they hold its output.
    if (this.#asked) await Promise.race([this.#outputClosed, this.#graceOver.promise]);
    this.#kill();
    await within(LAST_OUTPUT_MS, this.#outputClosed);
    this.#over = true;
    for (const stream of pipesOf(this.#child)) stream?.destroy();
    return exit;
  }

  #kill(): void {
    this.#signal("SIGKILL");
    if (this.#over || this.pid === undefined) return;
    const { markedBy, environment } = this.#options;
    for (const pid of processesWithVariable(markedBy, environment[markedBy] ?? "")) {
      signalQuietly(pid, "SIGKILL");
    }
  }

  /** The group's number can't have gone to others: the watcher of launch.sh holds it until the kill. */
  #signal(signal: NodeJS.Signals): void {
    if (!this.#over && this.pid !== undefined) signalQuietly(-this.pid, signal);
  }

  async #read(
    output: ChildProcess["stdout"] | undefined,
    stream: "stdout" | "stderr",
  ): Promise<void> {
    if (!output) return;
    const { onLine } = this.#options;
    const splitter = new LineSplitter((line) => onLine(line, stream));
    const limiter = new OutputLimiter(splitter, this.#budget, (lines) => {
      onLine(`postern: ${lines} lines of ${stream} were left out: they came too fast`, "postern");
    });
    output.on("data", (chunk: Buffer) => limiter.write(chunk));
    // A pipe that breaks has ended, for whoever reads lines.
    output.on("error", () => output.destroy());
    await once(output, "close").catch(() => undefined);
    limiter.end();
  }
}

/** A child's pipes: none where it could not be started, for which Node's types have no word. */
function pipesOf(child: ChildProcess): readonly (ChildProcess["stdio"][number] | undefined)[] {
  const pipes: ChildProcess["stdio"] | undefined = child.stdio;
  return pipes ?? [];
}

function signalQuietly(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // Gone already.
  }
}
