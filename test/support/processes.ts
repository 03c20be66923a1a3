/**
 * Real child processes for end-to-end tests: started with their output kept, awaited by what they
 * print (never by a guessed delay), measured through /proc (Linux only), and ended with everything
 * that they started when the test process ends, however it ends.
 */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { readFileSync, readdirSync } from "node:fs";

/** What is kept of each output stream; a server that logs for minutes must not fill the test. */
const MAX_KEPT_OUTPUT_CHARACTERS = 1024 * 1024;
const READY_TIMEOUT_MS = 120_000;
/** A command that still lets calls finish gets its second signal after this time, as from a person. */
const SECOND_SIGNAL_AFTER_MS = 3_000;
const STOP_TIMEOUT_MS = 20_000;

export interface ExitStatus {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface StartOptions {
  readonly cwd?: string;
  /** Replaces the environment; variables set to undefined are left out. */
  readonly env?: NodeJS.ProcessEnv;
}

const running = new Set<ManagedProcess>();
process.once("exit", () => {
  for (const managed of running) managed.killTree();
});
// The test runner ends its workers with this signal, and a process that dies of it emits no "exit".
process.once("SIGTERM", () => process.exit(143));

/** A child process whose output can be waited for. */
export class ManagedProcess {
  readonly exited: Promise<ExitStatus>;
  stdout = "";
  stderr = "";
  readonly #child: ChildProcess;
  readonly #command: string;
  readonly #watchers = new Set<() => void>();
  #exitStatus: ExitStatus | undefined;

  constructor(command: readonly [string, ...string[]], options: StartOptions = {}) {
    const [file, ...args] = command;
    this.#command = command.join(" ");
    this.#child = spawn(file, args, { ...options, stdio: ["ignore", "pipe", "pipe"] });
    this.#child.stdout?.setEncoding("utf8").on("data", (text: string) => {
      this.stdout = (this.stdout + text).slice(-MAX_KEPT_OUTPUT_CHARACTERS);
      this.#changed();
    });
    this.#child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      this.stderr = (this.stderr + text).slice(-MAX_KEPT_OUTPUT_CHARACTERS);
      this.#changed();
    });
    running.add(this);
    this.exited = new Promise((resolve, reject) => {
      this.#child.once("error", reject);
      this.#child.once("close", (code, signal) => {
        this.#exitStatus = { code, signal };
        running.delete(this);
        resolve(this.#exitStatus);
        this.#changed();
      });
    });
  }

  get pid(): number {
    if (this.#child.pid === undefined) throw new Error(`could not be started: ${this.#command}`);
    return this.#child.pid;
  }

  get alive(): boolean {
    return this.#exitStatus === undefined;
  }

  /** Resolves with the first match in stdout; rejects when the process ends or the time is up. */
  async waitForOutput(pattern: RegExp, timeoutMs = READY_TIMEOUT_MS): Promise<RegExpExecArray> {
    return await this.#waitFor(() => pattern.exec(this.stdout), String(pattern), timeoutMs);
  }

  /** As `waitForOutput`, on stderr, where progress and containers' lines go. */
  async waitForErrorOutput(
    pattern: RegExp,
    timeoutMs = READY_TIMEOUT_MS,
  ): Promise<RegExpExecArray> {
    return await this.#waitFor(() => pattern.exec(this.stderr), String(pattern), timeoutMs);
  }

  /**
   * Asks the process to end, again after 3 s, and waits for it; after 20 s it is killed and the call
   * rejects.
   */
  async stop(signal: NodeJS.Signals = "SIGINT"): Promise<ExitStatus> {
    if (this.#exitStatus !== undefined) return this.#exitStatus;
    this.#child.kill(signal);
    let late = false;
    const again = setTimeout(() => this.#child.kill(signal), SECOND_SIGNAL_AFTER_MS);
    const timer = setTimeout(() => {
      late = true;
      this.killTree();
    }, STOP_TIMEOUT_MS);
    const status = await this.exited;
    clearTimeout(again);
    clearTimeout(timer);
    if (late) {
      throw new Error(`did not end within ${STOP_TIMEOUT_MS} ms of ${signal}: ${this.#command}`);
    }
    return status;
  }

  /** kill -9 of this process alone: what it started must notice by itself. */
  async kill(): Promise<void> {
    if (this.#exitStatus === undefined) this.#child.kill("SIGKILL");
    // Descendants may hold the output pipes open, so "close" can be late: the pid is what counts.
    await untilGone(this.pid);
  }

  /** kill -9 of this process and everything below it. */
  killTree(): void {
    if (this.#child.pid === undefined) return;
    signalAll(processTree(this.#child.pid).toReversed(), "SIGKILL");
  }

  async #waitFor<Match>(
    look: () => Match | null,
    wanted: string,
    timeoutMs: number,
  ): Promise<Match> {
    return await new Promise((resolve, reject) => {
      const settle = (action: () => void) => {
        clearTimeout(timer);
        this.#watchers.delete(check);
        action();
      };
      const fail = (why: string) =>
        settle(() =>
          reject(
            new Error(
              `${why} before ${wanted}: ${this.#command}\n${this.stdout.slice(-2000)}\n${this.stderr.slice(-4000)}`,
            ),
          ),
        );
      const check = () => {
        const match = look();
        if (match !== null) settle(() => resolve(match));
        else if (this.#exitStatus !== undefined) fail(`ended with ${this.#exitStatus.code}`);
      };
      const timer = setTimeout(() => fail(`${timeoutMs} ms passed`), timeoutMs);
      this.#watchers.add(check);
      check();
    });
  }

  #changed(): void {
    for (const check of this.#watchers) check();
  }
}

/** Fields of /proc/<pid>/stat after the command name, which may itself hold spaces and brackets. */
function statFields(pid: number): string[] | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "latin1");
    return text.slice(text.lastIndexOf(")") + 2).split(" ");
  } catch {
    return undefined;
  }
}

/** The process and all its descendants, parents first; empty when it is gone. Zombies count as gone. */
export function processTree(root: number): number[] {
  const children = new Map<number, number[]>();
  const alive = new Set<number>();
  for (const entry of readdirSync("/proc")) {
    const pid = Number(entry);
    const fields = Number.isInteger(pid) ? statFields(pid) : undefined;
    if (fields === undefined || fields[0] === "Z") continue;
    alive.add(pid);
    const parent = Number(fields[1]);
    const siblings = children.get(parent);
    if (siblings === undefined) children.set(parent, [pid]);
    else siblings.push(pid);
  }
  if (!alive.has(root)) return [];
  const tree = [root];
  for (const pid of tree) tree.push(...(children.get(pid) ?? []));
  return tree;
}

/** The parents of a process, the nearest one first, without the first process of all. */
export function parentsOf(pid: number): number[] {
  const parent = Number(statFields(pid)?.[1] ?? 0);
  return parent <= 1 ? [] : [parent, ...parentsOf(parent)];
}

/** The command line of a process, arguments joined with blanks; empty when it is gone. */
export function commandLine(pid: number): string {
  return ofProcess(pid, "cmdline").replaceAll("\0", " ").trim();
}

/**
 * Bytes of memory that these processes hold: shared pages counted once (Pss), or in each process (Rss) where the kernel
 * does not say the other, as gVisor does not.
 */
export function memoryBytes(pids: readonly number[]): number {
  let kib = 0;
  for (const pid of pids) {
    const said =
      /^Pss:\s+(\d+) kB$/m.exec(ofProcess(pid, "smaps_rollup")) ??
      /^VmRSS:\s+(\d+) kB$/m.exec(ofProcess(pid, "status"));
    kib += Number(said?.[1] ?? 0);
  }
  return kib * 1024;
}

/** A file of `/proc/PID`; empty when the process is gone or the kernel does not have it. */
function ofProcess(pid: number, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, "latin1");
  } catch {
    return "";
  }
}

/** Linux reports CPU time in ticks of 1/100 s on every architecture that Node runs on. */
const TICKS_PER_SECOND = 100;

/** CPU seconds (user and system) that these processes have used since they started. */
export function cpuSeconds(pids: readonly number[]): number {
  let ticks = 0;
  for (const pid of pids) {
    const fields = statFields(pid);
    if (fields !== undefined) ticks += Number(fields[11]) + Number(fields[12]);
  }
  return ticks / TICKS_PER_SECOND;
}

/** How many descriptors a process holds open. */
export function openDescriptors(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).length;
}

/** Whether a process runs; a zombie does not. */
export function isAlive(pid: number): boolean {
  const state = statFields(pid)?.[0];
  return state !== undefined && state !== "Z";
}

/** Waits until a process is gone. Nothing tells a non-parent of an exit, so this looks every 10 ms. */
export async function untilGone(pid: number, timeoutMs = 10_000): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (isAlive(pid)) {
    if (performance.now() > deadline) throw new Error(`process ${pid} is still there`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** Sends a signal to each of these processes that is there still. */
export function signalAll(pids: readonly number[], signal: NodeJS.Signals): void {
  for (const pid of pids) {
    try {
      process.kill(pid, signal);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
    }
  }
}

/** No descriptor above the standard ones is free: what is open stays so. */
const FEWEST_DESCRIPTORS = 3;

/** Lets a process open no more files and connections. @returns gives it back what it had */
export function takeDescriptors(pid: number): () => void {
  const prlimit = (...more: string[]): string =>
    execFileSync("/usr/bin/prlimit", ["--pid", `${pid}`, ...more], { encoding: "utf8" });
  const limit = prlimit("--nofile", "--output=SOFT", "--noheadings").trim();
  prlimit(`--nofile=${FEWEST_DESCRIPTORS}:`);
  return () => void prlimit(`--nofile=${limit}:`);
}
