/**
 * A command that an earlier agent started and left running, under a supervisor that waits for this one. Its supervisor is
 * no child of this agent, so that its end is looked for.
 */
import { setTimeout as delay } from "node:timers/promises";
import { isRunning, type ProcessIdentity } from "../../base/node/process-identity.ts";
import type { ExitInfo } from "./exit-info.ts";
import type {
  CommandPipes,
  LaunchedCommand,
  LaunchOptions,
  LeftDescriptors,
} from "./launched-command.ts";
import { sweep } from "./supervised-command.ts";
import type { SupervisorConnection } from "./supervisor-connection.ts";

/** Nothing tells of the end of another program's child. */
const ASK_AGAIN_MS = 20;

interface AdoptedOptions extends Pick<LaunchOptions, "markedBy" | "environment"> {
  readonly descriptors: LeftDescriptors;
  /** The supervisor's outer process. */
  readonly supervisor: ProcessIdentity;
}

export class AdoptedCommand implements LaunchedCommand {
  readonly child = undefined;
  readonly supervisor: number;
  readonly pipes: Promise<CommandPipes | undefined>;
  readonly started: Promise<number | undefined>;
  readonly leaderExited: Promise<ExitInfo>;
  readonly gone: Promise<void>;
  readonly #connection: SupervisorConnection;

  /** @throws the system's error where its pipes can't be opened any more */
  constructor(connection: SupervisorConnection, options: AdoptedOptions) {
    this.#connection = connection;
    this.supervisor = options.supervisor.pid;
    connection.adopt(options.descriptors);
    const { pipes, started, exited } = connection;
    this.pipes = pipes;
    this.started = started;
    this.leaderExited = exited;
    this.gone = this.#end(options);
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

  async #end(options: AdoptedOptions): Promise<void> {
    await this.#connection.closed;
    while (isRunning(options.supervisor)) await delay(ASK_AGAIN_MS);
    // Its code is its parent's to know: one that was killed may have left something.
    sweep(options);
    this.#connection.over({ code: null, signal: "SIGKILL" });
  }
}
