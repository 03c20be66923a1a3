/**
 * Keeps a file for each container that runs as processes: which they are, by number and time of start. An agent that
 * was killed together with its supervisors leaves such files. The next agent ends by them what is left of its own
 * containers, and never anything else: the system uses numbers of processes again. By such a file it also finds a
 * container that was left running for it.
 */
import { mkdir, readFile, readdir, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { z } from "zod";
import { identityOf, isRunning } from "../../base/node/process-identity.ts";
import { SECOND_MS } from "../../base/units.ts";
import { PRIVATE_DIRECTORY_MODE, PRIVATE_FILE_MODE } from "../calls/store/files.ts";
import { LeftContainer } from "./left-container.ts";
import { LEFT_RECORD, type LeftRecord, PROCESS_IDENTITY } from "./left-record.ts";
import { parentOf, processesWithVariable, signalQuietly } from "./linux-processes.ts";

/** A supervisor that lost its agent ends its container by itself. It may have a stop_command to run first. */
const SUPERVISOR_TIME_MS = 5_000;
/** A killed process ends at once, unless the kernel holds it in a driver that hangs. */
const KILL_TIME_MS = 5_000;
/** Nothing tells of the end of another program's child. */
const ASK_AGAIN_MS = 20;

const ENDING = ".json";

const RECORD = z.object({
  container: z.string().regex(/^[\w-]{1,64}$/),
  /** As in `ContainerOptions`. */
  source: z.string(),
  /** The variable that has the container's id in its processes' environment. */
  variable: z.string().min(1),
  /** The container's first process, which is the number of its group. */
  leader: PROCESS_IDENTITY,
  supervisor: PROCESS_IDENTITY.optional(),
  /** The supervisor's inner process, which is the leader's parent. */
  innerSupervisor: PROCESS_IDENTITY.optional(),
  /** How long a supervisor may take that lost its agent: seconds. */
  limit: z.number().nonnegative(),
  /** Its agent left it running. One of another Postern's format is ended. */
  left: LEFT_RECORD.optional().catch(undefined),
});

type ProcessRecord = z.infer<typeof RECORD>;

/** The processes of a container that has started, by their numbers. */
export interface StartedProcesses extends Omit<
  ProcessRecord,
  "leader" | "supervisor" | "innerSupervisor" | "left"
> {
  readonly leader: number;
  readonly supervisor: number | undefined;
}

interface OpenOptions {
  /** For this agent alone. */
  readonly directory: string;
  readonly notice: (text: string) => void;
  readonly supervisorTimeMs?: number;
  readonly killTimeMs?: number;
  /** Instead of SIGKILL, for a test of what survives it. */
  readonly kill?: (pid: number) => void;
}

export class ProcessRecords {
  readonly #options: OpenOptions;
  /** By container. */
  readonly #records = new Map<string, ProcessRecord>();
  readonly #left: LeftContainer[] = [];

  private constructor(options: OpenOptions) {
    this.#options = options;
  }

  /** Those that the last agent left running for this one. */
  get left(): readonly LeftContainer[] {
    return this.#left;
  }

  /** Ends what an earlier agent left behind, and not on purpose. Resolves when it is gone, or was reported. */
  static async open(options: OpenOptions): Promise<ProcessRecords> {
    const records = new ProcessRecords(options);
    await mkdir(options.directory, { recursive: true, mode: PRIVATE_DIRECTORY_MODE });
    const names = await readdir(options.directory);
    await Promise.all(names.map(async (name) => await records.#open(name)));
    return records;
  }

  /**
   * Keeps a record until its container has exited. A disk without room must not end a container: without the file
   * only the next agent knows less.
   */
  async add(started: StartedProcesses, exited: Promise<unknown>): Promise<void> {
    const leader = identityOf(started.leader);
    const supervisor =
      started.supervisor === undefined ? undefined : identityOf(started.supervisor);
    if (leader === undefined) return;
    const parent = supervisor && parentOf(started.leader);
    const innerSupervisor = parent === undefined ? undefined : identityOf(parent);
    const record: ProcessRecord = { ...started, leader, supervisor, innerSupervisor };
    this.#records.set(record.container, record);
    try {
      await this.#write(record);
    } catch (error) {
      this.#options.notice(`can't note the processes of ${record.container}: ${String(error)}`);
    }
    await exited;
    this.#records.delete(record.container);
    const path = this.#pathOf(record);
    for (const file of [draftOf(path), path]) {
      await rm(file, { force: true }).catch(() => undefined);
    }
  }

  /** Notes that a container runs on for the next agent. @returns false where that can't be noted */
  async leave(container: string, left: LeftRecord): Promise<boolean> {
    const record = this.#records.get(container);
    if (record?.supervisor === undefined) return false;
    return await this.#write({ ...record, left }).then(
      () => true,
      () => false,
    );
  }

  /** Whole or not at all, and never read by its temporary name. */
  async #write(record: ProcessRecord): Promise<void> {
    const path = this.#pathOf(record);
    const draft = draftOf(path);
    await writeFile(draft, JSON.stringify(record), { mode: PRIVATE_FILE_MODE });
    await rename(draft, path);
  }

  #pathOf({ container }: Pick<ProcessRecord, "container">): string {
    return join(this.#options.directory, container + ENDING);
  }

  async #open(name: string): Promise<void> {
    const path = join(this.#options.directory, name);
    const record = name.endsWith(ENDING) ? await readRecord(path) : undefined;
    const left = record?.left;
    const found = left && record && (await LeftContainer.open({ ...record, left }));
    if (found === undefined) {
      await this.#endLeft(path, record);
      return;
    }
    this.#left.push(found);
    // Its sessions may be megabytes, which are not needed here.
    const noted = record && { ...record, left: undefined };
    void found.gone.then(async () => {
      if (!found.isAdopted) await this.#endLeft(path, noted);
    });
  }

  async #endLeft(path: string, record: ProcessRecord | undefined): Promise<void> {
    if (record !== undefined && !(await this.#end(record))) {
      const { container, source, leader } = record;
      this.#options.notice(
        `warning: [${source}] a process of the last agent's container ${container} (pid ${leader.pid}) survived SIGKILL; it may hold a port, a GPU and its memory`,
      );
      return;
    }
    await rm(path, { force: true });
  }

  /** @returns whether all of it is gone */
  async #end(record: ProcessRecord): Promise<boolean> {
    const { supervisor, limit } = record;
    const {
      supervisorTimeMs = SUPERVISOR_TIME_MS,
      killTimeMs = KILL_TIME_MS,
      kill = (pid) => signalQuietly(pid, "SIGKILL"),
    } = this.#options;
    if (supervisor !== undefined) {
      await until(supervisorTimeMs + limit * SECOND_MS, () => !isRunning(supervisor));
    }
    if (left(record).length > 0) {
      this.#options.notice(
        `[${record.source}] ends what the last agent left of ${record.container}`,
      );
    }
    return await until(killTimeMs, () => {
      const pids = left(record);
      for (const pid of pids) kill(pid);
      return pids.length === 0;
    });
  }
}

/**
 * Processes of this container that still run; a negative number means a group. A group has its leader's number for
 * as long as the leader is there. Without the leader the number may have gone to others.
 */
function left(record: ProcessRecord): number[] {
  const { container, variable, leader, supervisor, innerSupervisor } = record;
  const noted = [leader, supervisor, innerSupervisor];
  const known = noted.filter((one) => one !== undefined).filter(isRunning);
  const group = isRunning(leader) ? [-leader.pid] : [];
  const marked = processesWithVariable(variable, container);
  return [...group, ...new Set([...known.map(({ pid }) => pid), ...marked])];
}

function draftOf(path: string): string {
  return `${path}.draft`;
}

async function readRecord(path: string): Promise<ProcessRecord | undefined> {
  try {
    return RECORD.safeParse(JSON.parse(await readFile(path, "utf8"))).data;
  } catch {
    // Half written by an agent of another time.
    return undefined;
  }
}

/** @returns whether it came to be so in this time */
async function until(timeMs: number, isSo: () => boolean): Promise<boolean> {
  const end = performance.now() + timeMs;
  while (!isSo()) {
    if (performance.now() > end) return false;
    await delay(ASK_AGAIN_MS);
  }
  return true;
}
