/**
 * Keeps one workerd running: starts it, learns its port, starts it again when it dies, and ends it. workerd has a process
 * group of its own, so a terminal's Ctrl-C does not reach it. A watcher ends it with this process, however that ends.
 */

import { spawn, type ChildProcess } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { setTimeout as delay } from "node:timers/promises";
import type { Observer } from "../../base/observer.ts";
import { CommandFailure } from "../failure.ts";
import { DISK_IS_FULL } from "../../base/full-disk.ts";
import { passOn } from "../observer.ts";
import { identityOf, isRunning, type ProcessIdentity } from "../../base/node/process-identity.ts";
import { lendSocket } from "./lent-socket.ts";
import { endWithThisProcess, exitOf, RestartPauses } from "./owned-process.ts";
import { DISK_NAME, PUBLIC_SOCKET_NAME, SOCKET_NAME } from "./workerd-config.ts";
import { WorkerdLines } from "./workerd-lines.ts";

/** The package has no types: its only export is the executable's path on this platform. */
const { default: WORKERD } = createRequire(import.meta.url)("workerd") as { default: string };

/** How long an orphan may take to end after SIGKILL. */
const ORPHAN_WAIT_MS = 5_000;
const ORPHAN_POLL_MS = 20;

/**
 * Leaves the kernel's restartable sequences to workerd's allocator, which glibc would take for itself. Without them the
 * allocator has no caches for each CPU, and a request costs 5 % more. Other C libraries do not read this.
 */
const GLIBC_TUNABLES = "glibc.pthread.rseq=0";

export interface WorkerdOptions {
  readonly configPath: string;
  readonly objectsPath: string;
  readonly environment: Readonly<Record<string, string>>;
  /** A listening socket that workerd inherits; undefined where it has its own alone. */
  readonly socketFd: number | undefined;
  readonly observer: Observer;
  /** Called with each new process and, when it has ended, with undefined. */
  readonly onProcess: (identity: ProcessIdentity | undefined) => void;
  /** Called for each line about a full disk, of workerd's and of the Worker's. */
  readonly onFullDisk: () => void;
}

export interface Workerd {
  /** The port of 127.0.0.1 on which workerd listens, the same after restarts. Pending while workerd is down. */
  port(): Promise<number>;
  /** Its process; undefined before its first start. */
  readonly pid: number | undefined;
  /** Asks workerd to take no new connections, to finish its responses and to end. */
  drain(): void;
  /** Drains, and kills workerd after `graceMs`. */
  stop(graceMs: number): Promise<void>;
  /** Kills workerd. */
  kill(): void;
}

interface InheritedSocket {
  readonly socket: typeof SOCKET_NAME | typeof PUBLIC_SOCKET_NAME;
  readonly fd: number;
}

interface Launched {
  readonly child: ChildProcess;
  readonly listening: Promise<void>;
  readonly lastLines: string[];
}

/**
 * Ends each workerd that a killed gateway left behind: two on one storage would destroy it.
 * @param noted the one that was noted last: a gateway with a full disk notes none, and Linux shows those that run
 * @throws {CommandFailure} where one does not end
 */
export async function endOrphans(
  noted: ProcessIdentity | undefined,
  configPath: string,
): Promise<void> {
  const found = process.platform === "linux" ? runningFrom(configPath) : [];
  for (const orphan of noted === undefined ? found : [noted, ...found]) await endOrphan(orphan);
}

/** By proc(5). */
function runningFrom(configPath: string): ProcessIdentity[] {
  return readdirSync("/proc").flatMap((entry) => {
    if (!/^\d+$/.test(entry)) return [];
    const [, verb, path] = argumentsOf(entry);
    return verb === "serve" && path === configPath ? (identityOf(Number(entry)) ?? []) : [];
  });
}

function argumentsOf(pid: string): string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
  } catch {
    // It has ended.
    return [];
  }
}

async function endOrphan(orphan: ProcessIdentity): Promise<void> {
  if (!isRunning(orphan)) return;
  process.kill(orphan.pid, "SIGKILL");
  const deadline = performance.now() + ORPHAN_WAIT_MS;
  while (isRunning(orphan)) {
    if (performance.now() > deadline) {
      throw new CommandFailure(
        `an old workerd (pid ${orphan.pid}) does not end; end it and start again`,
      );
    }
    await delay(ORPHAN_POLL_MS);
  }
}

/** Starts workerd and waits until it listens. @throws {CommandFailure} with workerd's own words if it dies before */
export async function startWorkerd(options: WorkerdOptions): Promise<Workerd> {
  const supervisor = new Supervisor(options);
  await supervisor.start();
  return supervisor;
}

class Supervisor implements Workerd {
  readonly #options: WorkerdOptions;
  readonly #pauses = new RestartPauses();
  #child: ChildProcess | undefined;
  #port = Promise.withResolvers<number>();
  /** The last port. Agents on this machine dial it, so the next workerd listens there too. */
  #lastPort: number | undefined;
  #stopping = false;

  constructor(options: WorkerdOptions) {
    this.#options = options;
  }

  port(): Promise<number> {
    return this.#port.promise;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  async start(): Promise<void> {
    const launched = await this.#launch();
    await launched?.listening;
    if (launched !== undefined && this.#lastPort !== undefined) {
      return this.#superviseFrom(launched.child);
    }
    const lastLines = launched?.lastLines ?? [];
    throw new CommandFailure(["workerd does not start", ...lastLines].join("\n  "));
  }

  drain(): void {
    this.#stopping = true;
    this.#child?.kill("SIGTERM");
  }

  async stop(graceMs: number): Promise<void> {
    this.drain();
    const child = this.#child;
    if (child === undefined) return;
    const ended = exitOf(child);
    const timer = setTimeout(() => child.kill("SIGKILL"), graceMs);
    await ended;
    clearTimeout(timer);
  }

  kill(): void {
    this.#stopping = true;
    this.#child?.kill("SIGKILL");
  }

  #superviseFrom(first: ChildProcess): void {
    void (async () => {
      let child = first;
      let startedAt = performance.now();
      while (!this.#stopping) {
        const how = await exitOf(child);
        if (this.#stopping) return;
        const waitMs = this.#pauses.next(performance.now() - startedAt);
        const when = waitMs === 0 ? "at once" : `in ${waitMs} ms`;
        const { observer } = this.#options;
        observer.emit("gateway.state", { from: "running", to: "restarting", reason: how });
        observer.notice(`workerd ended (${how}); starting it again ${when}`);
        if (waitMs > 0) await delay(waitMs);
        if (this.#stopping) return;
        startedAt = performance.now();
        const launched = await this.#launch();
        if (launched === undefined) return;
        ({ child } = launched);
      }
    })();
  }

  /**
   * Behind a front workerd's own socket carries the responses of all clients, so it gets the limit of those at which
   * clients connect; only Linux has it. Undefined where workerd is to end meanwhile.
   */
  async #launch(): Promise<Launched | undefined> {
    const { socketFd } = this.#options;
    if (socketFd !== undefined) return this.#spawn({ socket: PUBLIC_SOCKET_NAME, fd: socketFd });
    if (process.platform !== "linux") return this.#spawn(undefined);
    return await lendSocket(this.#lastPort ?? 0, (fd) => {
      if (this.#stopping) return undefined;
      return this.#spawn(fd === undefined ? undefined : { socket: SOCKET_NAME, fd });
    });
  }

  #spawn(inherited: InheritedSocket | undefined): Launched {
    const { configPath, objectsPath, environment, observer, onProcess, onFullDisk } = this.#options;
    const child = spawn(
      WORKERD,
      [
        "serve",
        configPath,
        "--control-fd=3",
        `--directory-path=${DISK_NAME}=${objectsPath}`,
        ...(this.#lastPort === undefined || inherited?.socket === SOCKET_NAME
          ? []
          : [`--socket-addr=${SOCKET_NAME}=127.0.0.1:${this.#lastPort}`]),
        ...(inherited ? [`--socket-fd=${inherited.socket}=4`] : []),
      ],
      {
        stdio: ["ignore", "pipe", "pipe", "pipe", ...(inherited ? [inherited.fd] : [])],
        env: { GLIBC_TUNABLES, ...environment },
        detached: true,
      },
    );
    this.#child = child;
    const watcher = child.pid === undefined ? undefined : endWithThisProcess(child.pid);
    if (child.pid !== undefined) onProcess(identityOf(child.pid));
    const listening = Promise.withResolvers<void>();
    const lastLines: string[] = [];
    // Without a process there is an 'error' and no 'exit'.
    child.on("error", (error) => {
      lastLines.push(error.message);
      listening.resolve();
    });
    child.on("exit", () => {
      watcher?.kill("SIGKILL");
      this.#port = Promise.withResolvers<number>();
      onProcess(undefined);
    });
    // 'close' comes after 'exit', when workerd's last lines have been read.
    child.on("close", () => listening.resolve());
    const [, stdout, stderr, control] = child.stdio as unknown as Readable[];
    // The Worker's own events: one line per request with --log json.
    if (stdout !== undefined) {
      createInterface({ input: stdout }).on("line", (line) => {
        // An object may have caught the error, and then workerd says nothing of it.
        if (line.includes(DISK_IS_FULL)) onFullDisk();
        passOn(line);
      });
    }
    if (stderr !== undefined) {
      const lines = new WorkerdLines(observer.notice, lastLines, onFullDisk);
      createInterface({ input: stderr }).on("line", (line) => lines.add(line, performance.now()));
    }
    if (control !== undefined) {
      createInterface({ input: control }).on("line", (line) => {
        const port = listeningPort(line);
        if (port === undefined) return;
        this.#lastPort = port;
        this.#port.resolve(port);
        listening.resolve();
      });
    }
    return { child, listening: listening.promise, lastLines };
  }
}

/** The port in workerd's control message of its HTTP socket, e.g. `{"event":"listen","socket":"http","port":1}`. */
function listeningPort(line: string): number | undefined {
  const message = JSON.parse(line) as { event?: string; socket?: string; port?: number };
  return message.event === "listen" && message.socket === SOCKET_NAME ? message.port : undefined;
}
