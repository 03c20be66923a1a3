/**
 * Starts a command under supervise.pl or supervise.py, which ends everything that the command started and tells when it
 * is gone. The programs document what they say to the agent over descriptor 3.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { Duplex } from "node:stream";

import type { ExitInfo } from "./exit-info.ts";
import {
  AGENT_DESCRIPTOR,
  type CommandPipes,
  exitOfError,
  type LaunchedCommand,
  type LaunchOptions,
  type LeftDescriptors,
  pipesOf,
  stdioOf,
} from "./launched-command.ts";
import { launchCommand } from "./launcher.ts";
import { processesWithVariable, signalQuietly } from "./linux-processes.ts";
import type { CommandSupervisor } from "./supervisor.ts";
import { SupervisorConnection } from "./supervisor-connection.ts";

/**
 * ContainerVariables that would change or break the supervisor itself. It gets them under another name, and gives them back to
 * the command.
 */
const DISTURBING = /^(?:LD_|PERL)/;
const KEPT = "POSTERN_KEPT_";

export class SupervisedCommand implements LaunchedCommand {
  readonly child: ChildProcess;
  readonly pipes: Promise<CommandPipes | undefined>;
  readonly started: Promise<number | undefined>;
  readonly leaderExited: Promise<ExitInfo>;
  readonly gone: Promise<void>;
  readonly #options: LaunchOptions;
  readonly #connection: SupervisorConnection;

  constructor(supervisor: CommandSupervisor, options: LaunchOptions) {
    this.#options = options;
    const [program = "", ...words] = [
      ...supervisor.command,
      `${pipeCount(options)}`,
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
    const socket = pipe instanceof Duplex ? pipe : noSocket();
    this.#connection = new SupervisorConnection(socket, socket);
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
