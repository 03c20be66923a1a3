/**
 * The lines between the agent and a container's supervisor: over a socket to the agent that started it, over two pipes to a
 * later one. supervise.pl documents them.
 */
import { constants } from "node:os";
import type { Readable, Writable } from "node:stream";

import type { ExitInfo } from "./exit-info.ts";
import type { CommandPipes, LeftDescriptors, PipeNumbers } from "./launched-command.ts";
import { LineSplitter } from "./output-lines.ts";
import { readPipe, writePipe } from "./process-pipes.ts";

const SIGNAL_NAMES: ReadonlyMap<number, NodeJS.Signals> = new Map(
  Object.entries(constants.signals).map(([name, number]) => [number, name as NodeJS.Signals]),
);

export class SupervisorConnection {
  /** The command's first process; undefined where nothing could be started. */
  readonly started: Promise<number | undefined>;
  readonly exited: Promise<ExitInfo>;
  /** The supervisor's inner process has ended. */
  readonly closed: Promise<void>;
  /** Undefined where the command has none but those of its start. */
  readonly pipes: Promise<CommandPipes | undefined>;
  /** Of a supervisor that waits for this agent: the text that the last one gave it. */
  readonly key: Promise<string | undefined>;
  readonly #writes: Writable;
  readonly #started = Promise.withResolvers<number | undefined>();
  readonly #exited = Promise.withResolvers<ExitInfo>();
  readonly #pipes = Promise.withResolvers<CommandPipes | undefined>();
  readonly #key = Promise.withResolvers<string | undefined>();
  #numbers: PipeNumbers | undefined;
  #lingers: PromiseWithResolvers<LeftDescriptors | undefined> | undefined;

  constructor(reads: Readable, writes: Writable) {
    this.#writes = writes;
    this.started = this.#started.promise;
    this.exited = this.#exited.promise;
    this.pipes = this.#pipes.promise;
    this.key = this.#key.promise;
    const lines = new LineSplitter((line) => this.#onLine(line));
    reads.on("data", (chunk: Buffer) => lines.write(chunk));
    for (const stream of [reads, writes]) stream.on("error", () => stream.destroy());
    this.closed = new Promise((resolve) => reads.once("close", resolve));
    void this.closed.then(() => this.#onClosed());
  }

  /** Opens one that an earlier agent has left. @throws the system's error where it is gone, or another user's */
  static open({ pid, commands, reports }: LeftDescriptors): SupervisorConnection {
    const reads = readPipe(pid, reports);
    try {
      return new SupervisorConnection(reads, writePipe(pid, commands));
    } catch (error) {
      reads.destroy();
      throw error;
    }
  }

  signal(signal: NodeJS.Signals): void {
    this.#say(`signal ${constants.signals[signal]}`);
  }

  kill(): void {
    this.#say("kill");
  }

  /** This agent is the command's from now on. @param left as the last one noted them */
  adopt(left: LeftDescriptors): void {
    this.#numbers = left;
    this.#pipes.resolve(openPipes(left.pid, left));
    this.#say("adopt");
  }

  /**
   * Tells the supervisor that another agent comes within so many seconds after the end of this one.
   * @returns undefined where that can't be
   */
  async linger(seconds: number, key: string): Promise<LeftDescriptors | undefined> {
    await this.pipes;
    if (this.#numbers === undefined) return undefined;
    this.#lingers ??= Promise.withResolvers();
    this.#say(`linger ${seconds} ${key}`);
    return await this.#lingers.promise;
  }

  /** This agent is gone, as far as the supervisor sees. */
  close(): void {
    this.#writes.destroy();
  }

  /** The command has ended, and could not say how. */
  over(exit: ExitInfo): void {
    this.#started.resolve(undefined);
    this.#exited.resolve(exit);
  }

  #say(line: string): void {
    if (this.#writes.writable) this.#writes.write(`${line}\n`);
  }

  #onClosed(): void {
    this.#pipes.resolve(undefined);
    this.#key.resolve(undefined);
    this.#lingers?.resolve(undefined);
    this.#writes.destroy();
  }

  #onLine(line: string): void {
    const [event, ...values] = line.split(" ");
    const [first = 0, second = 0, third = 0, ...channel] = values.map(Number);
    switch (event) {
      case "pipes":
        this.#open(first, { out: second, err: third, channel: channelOf(channel) });
        break;
      case "started":
        this.#pipes.resolve(undefined);
        this.#started.resolve(first);
        break;
      case "exited": {
        const signal = SIGNAL_NAMES.get(second) ?? null;
        this.#exited.resolve({ code: signal === null ? first : null, signal });
        break;
      }
      case "lingers":
        if (this.#numbers === undefined) break;
        this.#lingers?.resolve({ ...this.#numbers, pid: first, commands: second, reports: third });
        break;
      case "left":
        this.#key.resolve(values[0]);
        break;
      case "failed":
        this.#lingers?.resolve(undefined);
        break;
      default:
        break;
    }
  }

  #open(pid: number, numbers: PipeNumbers): void {
    try {
      this.#pipes.resolve(openPipes(pid, numbers));
      this.#numbers = numbers;
      this.#say("opened");
    } catch {
      // /proc may hide them: then the command's output ends with this agent, and it can't be taken over.
      this.#pipes.resolve(undefined);
      this.#say("refused");
    }
  }
}

function channelOf([to, from]: readonly number[]): PipeNumbers["channel"] {
  return to === undefined || from === undefined ? undefined : { to, from };
}

/** All or none. @throws the system's error */
function openPipes(pid: number, { out, err, channel }: PipeNumbers): CommandPipes {
  const opened: { destroy(): unknown }[] = [];
  const kept = <Pipe extends Readable | Writable>(pipe: Pipe): Pipe => {
    opened.push(pipe);
    return pipe;
  };
  try {
    return {
      stdout: kept(readPipe(pid, out)),
      stderr: kept(readPipe(pid, err)),
      channel: channel && {
        reads: kept(readPipe(pid, channel.from)),
        writes: kept(writePipe(pid, channel.to)),
      },
    };
  } catch (error) {
    for (const pipe of opened) pipe.destroy();
    throw error;
  }
}
