/**
 * A command with everything that it starts: its output as lines, its end polite where there is time and
 * certain in any case. Knows nothing of servers, ports or readiness.
 */
import { once } from "node:events";
import { Duplex, type Readable } from "node:stream";

import { within } from "../../base/runtime/within.ts";
import type { LogStream } from "../../routing/wire/container-logs.ts";
import type { ExitInfo } from "./exit-info.ts";
import { CHANNEL_DESCRIPTOR, pipesOf } from "./command-descriptors.ts";
import type {
  CommandChannel,
  LaunchedCommand,
  LaunchOptions,
  LeftDescriptors,
} from "./launched-command.ts";
import { LineSplitter } from "./output-lines.ts";
import { OutputBudget, OutputLimiter } from "./output-limiter.ts";
import { SupervisedCommand } from "./supervised-command.ts";
import { findSupervisor, type CommandSupervisor } from "./supervisor.ts";
import { WatchedCommand } from "./watched-command.ts";

/** A killed process ends at once, unless the kernel holds it in a driver that hangs. */
const KILL_TIMEOUT_MS = 5_000;

/** After the end, pipes that somebody outside the group still holds are read this long. */
const LAST_OUTPUT_MS = 1_000;

export interface ProcessGroupOptions extends LaunchOptions {
  /** Hears each line of its output, and what Postern has to say among them. */
  readonly onLine: (line: string, stream: LogStream) => void;
  /** Makes its end certain; `undefined` does without. The machine's own by default. */
  readonly supervisor?: CommandSupervisor | undefined;
  /** Runs already, and need not be launched. */
  readonly adopted?: LaunchedCommand;
  /** Instead of 5 s. */
  readonly killTimeoutMs?: number;
}

export class ProcessGroup {
  /** The command's first process, whose number is the group's; undefined when nothing could be started. */
  readonly started: Promise<number | undefined>;
  /** How the command itself ended; others of its group may still be there. */
  readonly leaderExited: Promise<ExitInfo>;
  /** Resolves when the whole group has ended and its output has been passed on. */
  readonly exited: Promise<ExitInfo>;
  /** Resolves when something of it is still there 5 s after SIGKILL. `exited` resolves when that ends too. */
  readonly stuck: Promise<void>;
  /** Its end is certain, wherever its processes go. */
  readonly isSupervised: boolean;
  readonly #options: ProcessGroupOptions;
  readonly #command: LaunchedCommand;
  readonly #outputClosed: Promise<unknown>;
  readonly #graceOver = Promise.withResolvers<void>();
  readonly #budget = new OutputBudget();
  readonly #stuck = Promise.withResolvers<void>();
  #asked = false;
  #stuckTimer: ReturnType<typeof setTimeout> | undefined;

  /** Never throws: a command that can't be started is one that ends at once, and says why. */
  constructor(options: ProcessGroupOptions) {
    this.#options = options;
    this.#command = options.adopted ?? launched(options);
    const { child, started, leaderExited } = this.#command;
    this.isSupervised = !(this.#command instanceof WatchedCommand);
    child?.once("error", (error) => {
      const line = `postern: can't be started in ${options.directory}: ${error.message}`;
      options.onLine(line, "postern");
    });
    this.started = started;
    this.leaderExited = leaderExited;
    this.stuck = this.#stuck.promise;
    this.#outputClosed = Promise.all([
      this.#read(child?.stdout, "stdout"),
      this.#read(child?.stderr, "stderr"),
      this.#readPipes(),
    ]);
    this.exited = this.#end();
  }

  /** The agent's end of the command's channel; undefined where it has none. */
  async channel(): Promise<CommandChannel | undefined> {
    const pipes = await this.#command.pipes;
    if (pipes !== undefined) return pipes.channel;
    if (this.#options.withChannel !== true) return undefined;
    const socket = pipesOf(this.#command.child)[CHANNEL_DESCRIPTOR];
    return socket instanceof Duplex ? { reads: socket, writes: socket } : undefined;
  }

  /** The number of the supervisor's outer process; undefined where there is none. */
  get supervisor(): number | undefined {
    return this.#command.supervisor;
  }

  /**
   * Lets it run on when this agent ends, for another one within so many seconds.
   * @param key the next agent gets it from the supervisor
   * @returns undefined where that can't be: the command goes on as it was
   */
  async leave(seconds: number, key: string): Promise<LeftDescriptors | undefined> {
    return await this.#command.linger?.(seconds, key);
  }

  /** Reads no output any more: it is the next agent's. */
  letGo(): void {
    void this.#command.pipes.then((pipes) => {
      for (const stream of [pipes?.stdout, pipes?.stderr]) stream?.destroy();
    });
  }

  /**
   * Sends the signal to every process of the group, gives them the grace period and kills the rest. Resolves when
   * all are gone, or with false when they are stuck.
   */
  async stop(signal: NodeJS.Signals, graceMs: number): Promise<boolean> {
    this.#asked = true;
    this.#command.signal(signal);
    const grace = setTimeout(() => {
      this.#kill();
      this.#graceOver.resolve();
    }, graceMs);
    const gone = await Promise.race([this.exited.then(() => true), this.stuck.then(() => false)]);
    clearTimeout(grace);
    return gone;
  }

  async #end(): Promise<ExitInfo> {
    const exit = await this.leaderExited;
    // Workers that were asked to end with their leader may still be finishing; they hold its output.
    if (this.#asked) await Promise.race([this.#outputClosed, this.#graceOver.promise]);
    this.#kill();
    await this.#command.gone;
    clearTimeout(this.#stuckTimer);
    await within(LAST_OUTPUT_MS, this.#outputClosed);
    for (const stream of pipesOf(this.#command.child)) stream?.destroy();
    const pipes = await this.#command.pipes;
    for (const stream of [pipes?.stdout, pipes?.stderr]) stream?.destroy();
    for (const stream of [pipes?.channel?.reads, pipes?.channel?.writes]) stream?.destroy();
    return exit;
  }

  #kill(): void {
    const { killTimeoutMs = KILL_TIMEOUT_MS } = this.#options;
    this.#stuckTimer ??= setTimeout(() => this.#stuck.resolve(), killTimeoutMs);
    this.#command.kill();
  }

  async #readPipes(): Promise<void> {
    const pipes = await this.#command.pipes;
    await Promise.all([this.#read(pipes?.stdout, "stdout"), this.#read(pipes?.stderr, "stderr")]);
  }

  async #read(output: Readable | null | undefined, stream: "stdout" | "stderr"): Promise<void> {
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

function launched(options: ProcessGroupOptions): LaunchedCommand {
  const supervisor = "supervisor" in options ? options.supervisor : findSupervisor();
  return supervisor === undefined
    ? new WatchedCommand(options)
    : new SupervisedCommand(supervisor, options);
}
