/**
 * Starts a command under supervise.pl or supervise.py, which ends everything that the command started and tells when it
 * is gone. The programs document what they say to the agent over descriptor 3.
 */
import type { ChildProcess } from "node:child_process";
import { Duplex } from "node:stream";

import type { ExitInfo } from "./exit-info.ts";
import { AGENT_DESCRIPTOR, CHANNEL_DESCRIPTOR, pipesOf } from "./command-descriptors.ts";
import {
  type CommandPipes,
  exitOfError,
  type LaunchedCommand,
  type LaunchOptions,
  type LeftDescriptors,
} from "./launched-command.ts";
import { launchCommand } from "./launcher.ts";
import { processesWithVariable, signalQuietly } from "./linux-processes.ts";
import { type CommandSupervisor, startSupervisor } from "./supervisor.ts";
import { SupervisorConnection } from "./supervisor-connection.ts";

export class SupervisedCommand implements LaunchedCommand {
  readonly child: ChildProcess;
  readonly pipes: Promise<CommandPipes | undefined>;
  readonly started: Promise<number | undefined>;
  readonly leaderExited: Promise<ExitInfo>;
  readonly gone: Promise<void>;
  readonly #options: LaunchOptions;
  readonly #connection: SupervisorConnection;

  /** @throws TypeError where a word or a variable has a NUL */
  constructor(supervisor: CommandSupervisor, options: LaunchOptions) {
    this.#options = options;
    const task = taskOf(options);
    const { withChannel = false, spares } = options;
    this.child = spares?.take(supervisor) ?? startSupervisor(supervisor, withChannel);
    if (!withChannel) pipesOf(this.child)[CHANNEL_DESCRIPTOR]?.destroy();
    const pipe = pipesOf(this.child)[AGENT_DESCRIPTOR];
    const socket = pipe instanceof Duplex ? pipe : noSocket();
    this.#connection = new SupervisorConnection(socket, socket);
    socket.write(task);
    const { pipes, started, exited } = this.#connection;
    this.pipes = pipes;
    this.started = started;
    this.leaderExited = exited;
    const ended = new Promise<ExitInfo>((resolve) => {
      this.child.once("exit", (code, signal) => resolve({ code, signal }));
      this.child.once("error", (error) => resolve(exitOfError(error)));
    });
    this.gone = this.#end(ended);
  }

  get supervisor(): number | undefined {
    return this.child.pid;
  }

  signal(signal: NodeJS.Signals): void {
    this.#connection.signal(signal);
  }

  kill(): void {
    this.#connection.kill();
  }

  /** As `SupervisorConnection.linger`. */
  async linger(seconds: number, key: string): Promise<LeftDescriptors | undefined> {
    return await this.#connection.linger(seconds, key);
  }

  async #end(ended: Promise<ExitInfo>): Promise<void> {
    // Both supervisors: the outer one is the child, and the inner one holds the pipe.
    const [exit] = await Promise.all([ended, this.#connection.closed]);
    if (exit.signal !== null) sweep(this.#options);
    // A supervisor that was killed could not say this any more.
    this.#connection.over(exit);
  }
}

/** Somebody killed the supervisors: what still carries the mark is found by it. */
export function sweep({
  markedBy,
  environment,
}: Pick<LaunchOptions, "markedBy" | "environment">): void {
  for (const pid of processesWithVariable(markedBy, environment[markedBy] ?? "")) {
    signalQuietly(pid, "SIGKILL");
  }
}

/** Of a supervisor that could not be started. */
function noSocket(): Duplex {
  const none = new Duplex({ read: () => undefined, write: (_chunk, _encoding, done) => done() });
  return none.destroy();
}

function pipeCount({ isLeavable = false, withChannel = false }: LaunchOptions): number {
  if (!isLeavable) return 0;
  return withChannel ? 4 : 2;
}

/** As supervise.pl describes it. */
export function taskOf(options: LaunchOptions): string {
  const { directory, environment, user, stopCommand, withChannel = false } = options;
  const { command: stopWords = [], limit = 0 } = stopCommand ?? {};
  const stop = stopWords.length === 0 ? [] : launchCommand({ user, command: stopWords });
  const command = launchCommand(options);
  const settings = [directory, pipeCount(options), Number(withChannel), limit];
  const variables = Object.entries(environment).map(([name, value]) => `${name}=${value}`);
  const fields = [...settings, stop.length, command.length, ...stop, ...command, ...variables];
  const task = fields.map((field) => `${field}\0`).join("");
  // It would be another command.
  if (task.split("\0").length > fields.length + 1) throw new TypeError("a NUL has no place here");
  return `${Buffer.byteLength(task)}\n${task}`;
}
