/**
 * Starts a command under supervise.pl or supervise.py, which ends everything that the command started and tells when it
 * is gone. The programs document what they say to the agent over descriptor 3.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { constants } from "node:os";
import { Duplex } from "node:stream";

import type { ExitInfo } from "./container.ts";
import {
  AGENT_DESCRIPTOR,
  exitOfError,
  type LaunchedCommand,
  type LaunchOptions,
  pipesOf,
  stdioOf,
} from "./launched-command.ts";
import { launchCommand } from "./launcher.ts";
import { processesWithVariable, signalQuietly } from "./linux-processes.ts";
import { LineSplitter } from "./output-lines.ts";
import type { CommandSupervisor } from "./supervisor.ts";

/**
 * Variables that would change or break the supervisor itself. It gets them under another name, and gives them back to
 * the command.
 */
const DISTURBING = /^(?:LD_|PERL)/;
const KEPT = "POSTERN_KEPT_";

const SIGNAL_NAMES: ReadonlyMap<number, NodeJS.Signals> = new Map(
  Object.entries(constants.signals).map(([name, number]) => [number, name as NodeJS.Signals]),
);

export class SupervisedCommand implements LaunchedCommand {
  readonly child: ChildProcess;
  readonly gone: Promise<void>;
  readonly #options: LaunchOptions;
  readonly #started = Promise.withResolvers<number | undefined>();
  readonly #exited = Promise.withResolvers<ExitInfo>();
  readonly #supervisor: Duplex | undefined;

  constructor(supervisor: CommandSupervisor, options: LaunchOptions) {
    this.#options = options;
    const [program = "", ...words] = [
      ...supervisor.command,
      ...stopWords(options),
      ...launchCommand(options),
    ];
    this.child = spawn(program, words, {
      cwd: options.directory,
      env: keepingDisturbing(options.environment),
      // The terminal's Ctrl-C is for the agent.
      detached: true,
      stdio: stdioOf(options),
    });
    const pipe = pipesOf(this.child)[AGENT_DESCRIPTOR];
    this.#supervisor = pipe instanceof Duplex ? pipe : undefined;
    const ended = new Promise<ExitInfo>((resolve) => {
      this.child.once("exit", (code, signal) => resolve({ code, signal }));
      this.child.once("error", (error) => resolve(exitOfError(error)));
    });
    this.gone = this.#end(ended);
  }

  get started(): Promise<number | undefined> {
    return this.#started.promise;
  }

  get leaderExited(): Promise<ExitInfo> {
    return this.#exited.promise;
  }

  signal(signal: NodeJS.Signals): void {
    this.#say(`signal ${constants.signals[signal]}`);
  }

  kill(): void {
    this.#say("kill");
  }

  #say(line: string): void {
    if (this.#supervisor?.writable === true) this.#supervisor.write(`${line}\n`);
  }

  async #end(ended: Promise<ExitInfo>): Promise<void> {
    // Both supervisors: the outer one is the child, and the inner one holds the pipe.
    const [exit] = await Promise.all([ended, this.#listen()]);
    if (exit.signal !== null) this.#sweep();
    // A supervisor that was killed could not say this any more.
    this.#started.resolve(undefined);
    this.#exited.resolve(exit);
  }

  /** Resolves when the inner supervisor has ended. */
  async #listen(): Promise<void> {
    const pipe = this.#supervisor;
    if (pipe === undefined) return;
    const lines = new LineSplitter((line) => this.#onLine(line));
    pipe.on("data", (chunk: Buffer) => lines.write(chunk));
    pipe.on("error", () => pipe.destroy());
    await new Promise((resolve) => pipe.once("close", resolve));
  }

  #onLine(line: string): void {
    const [event, ...values] = line.split(" ");
    const [first = 0, second = 0] = values.map(Number);
    if (event === "started") this.#started.resolve(first);
    if (event !== "exited") return;
    const signal = SIGNAL_NAMES.get(second) ?? null;
    this.#exited.resolve({ code: signal === null ? first : null, signal });
  }

  /** Somebody killed the supervisors: what still carries the mark is found by it. */
  #sweep(): void {
    const { markedBy, environment } = this.#options;
    for (const pid of processesWithVariable(markedBy, environment[markedBy] ?? "")) {
      signalQuietly(pid, "SIGKILL");
    }
  }
}

/** The limit and the number of words of the command that the supervisor runs when the agent is gone, and its words. */
function stopWords({ user, stopCommand }: LaunchOptions): string[] {
  if (stopCommand === undefined || stopCommand.command.length === 0) return ["0", "0"];
  const words = launchCommand({ user, command: stopCommand.command });
  return [`${stopCommand.limit}`, `${words.length}`, ...words];
}

function keepingDisturbing(environment: LaunchOptions["environment"]): Record<string, string> {
  return Object.fromEntries(
    Object.entries(environment).map(([name, value]) => [
      DISTURBING.test(name) ? KEPT + name : name,
      value,
    ]),
  );
}
