/**
 * A container that an earlier agent left running, until a pool of this agent adopts it or it ends. Its supervisor ends it
 * where nobody adopts it in time.
 */
import { isRunning, type ProcessIdentity } from "../../base/node/process-identity.ts";
import { within } from "../../base/runtime/within.ts";
import { SECOND_MS } from "../../base/units.ts";
import type { LeftSessions } from "../core/left-sessions.ts";
import { AdoptedCommand } from "./adopted-command.ts";
import type { LaunchOptions, LeftDescriptors } from "./launched-command.ts";
import type { LeftRecord } from "./left-record.ts";
import { openSessions } from "./sealed-sessions.ts";
import { SupervisorConnection } from "./supervisor-connection.ts";

/** The key has been in the pipe since the last agent went. */
const KEY_TIME_MS = 1_000;

interface LeftProcesses {
  readonly container: string;
  readonly source: string;
  readonly supervisor?: ProcessIdentity | undefined;
  readonly left: LeftRecord;
}

export class LeftContainer {
  readonly id: string;
  /** As in `ContainerOptions`. */
  readonly source: string;
  readonly record: Omit<LeftRecord, "sessions">;
  /** Opens the record's seals. */
  readonly key: string;
  /** Its supervisor has ended, and with it what it ran. */
  readonly gone: Promise<void>;
  readonly #connection: SupervisorConnection;
  readonly #supervisor: ProcessIdentity;
  #sessions: LeftSessions | "unreadable" | undefined;
  #isAdopted = false;

  private constructor(
    { container, source, left }: LeftProcesses,
    supervisor: ProcessIdentity,
    connection: SupervisorConnection,
    key: string,
  ) {
    this.id = container;
    this.source = source;
    const { sessions, ...record } = left;
    this.record = record;
    this.key = key;
    if (sessions !== undefined) this.#sessions = openSessions(sessions, key) ?? "unreadable";
    this.gone = connection.closed;
    this.#supervisor = supervisor;
    this.#connection = connection;
  }

  /** @returns undefined where its supervisor is gone, or does not answer: what it left has to be ended otherwise */
  static async open(processes: LeftProcesses): Promise<LeftContainer | undefined> {
    const { supervisor, left } = processes;
    if (supervisor === undefined || !isRunning(left.inner)) return undefined;
    let connection: SupervisorConnection;
    try {
      connection = SupervisorConnection.open(descriptorsOf(left));
    } catch {
      return undefined;
    }
    const key = await within(KEY_TIME_MS, connection.key);
    if (key !== undefined) return new LeftContainer(processes, supervisor, connection, key);
    connection.kill();
    return undefined;
  }

  get isAdopted(): boolean {
    return this.#isAdopted;
  }

  /** Its sessions, where the last agent noted some. They are the taker's from then on. */
  takeSessions(): LeftSessions | "unreadable" | undefined {
    const sessions = this.#sessions;
    this.#sessions = undefined;
    return sessions;
  }

  /** Asks it to end, as a pool would that does not want it, and makes sure after its grace period. */
  end(): void {
    const { stopSignal, exitGracePeriod } = this.record;
    this.#connection.signal(stopSignal as NodeJS.Signals);
    const grace = setTimeout(() => this.#connection.kill(), exitGracePeriod * SECOND_MS);
    void this.gone.then(() => clearTimeout(grace));
  }

  /** @throws the system's error where it has ended meanwhile */
  adopt(options: Pick<LaunchOptions, "markedBy" | "environment">): AdoptedCommand {
    this.#isAdopted = true;
    return new AdoptedCommand(this.#connection, {
      ...options,
      descriptors: descriptorsOf(this.record),
      supervisor: this.#supervisor,
    });
  }
}

function descriptorsOf({
  inner: { pid },
  descriptors,
}: Pick<LeftRecord, "inner" | "descriptors">): LeftDescriptors {
  return { pid, ...descriptors };
}
