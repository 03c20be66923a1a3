/** What processes use while a job is measured, and the form of a job's result. */
import { readFileSync, readdirSync } from "node:fs";
import { cpus } from "node:os";

import { cpuSeconds, memoryBytes } from "../../support/processes.ts";

/** The server processes that the report tells apart. */
export type ServerName = "workerd" | "gateway" | "agent" | "relay" | "app";

export type ServerPids = Readonly<Partial<Record<ServerName, readonly number[]>>>;
export type PerServer = Readonly<Partial<Record<ServerName, number>>>;

export interface LoadResult {
  /** Answers, round trips, chunks, streams or bytes. */
  readonly count: number;
  readonly elapsedMs: number;
  /** Of single answers or chunks; 0 where the job has none. */
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly cpuSeconds: PerServer;
  readonly generatorCpuSeconds: number;
  /** The part of all cores that was busy, whoever used them. */
  readonly machineBusy: number;
  /** How much more memory each holds than when the job began; only of jobs that ask for it. */
  readonly memoryGrowth: PerServer;
}

function perServer(pids: ServerPids, of: (pids: readonly number[]) => number): PerServer {
  return Object.fromEntries(Object.entries(pids).map(([name, all]) => [name, of(all)]));
}

/** To the nanosecond, where a process's own count has steps of 10 ms: as long as forty calls. */
function threadCpuSeconds(pids: readonly number[]): number {
  let nanoseconds = 0;
  try {
    for (const pid of pids) {
      for (const thread of readdirSync(`/proc/${pid}/task`)) {
        const [onCpu] = readFileSync(`/proc/${pid}/task/${thread}/schedstat`, "latin1").split(" ");
        nanoseconds += Number(onCpu);
      }
    }
  } catch {
    // A kernel without these counts, or a thread that ended meanwhile.
    return cpuSeconds(pids);
  }
  return nanoseconds / 1e9;
}

export function difference(after: PerServer, before: PerServer): PerServer {
  return Object.fromEntries(
    Object.entries(after).map(([name, value]) => [name, value - (before[name as ServerName] ?? 0)]),
  );
}

export const memoryOfServers = (pids: ServerPids): PerServer => perServer(pids, memoryBytes);

/** The value below which this share of the sorted values is. */
export function percentile(sorted: readonly number[] | Float64Array, share: number): number {
  return sorted[Math.floor(sorted.length * share)] ?? 0;
}

function machineMs(): { readonly busy: number; readonly all: number } {
  let all = 0;
  let idle = 0;
  for (const { times } of cpus()) {
    all += times.user + times.nice + times.sys + times.irq + times.idle;
    idle += times.idle;
  }
  return { busy: all - idle, all };
}

/** The time in which a job is measured: from its construction until its result is made. */
export class UsageWindow {
  readonly beganMs = performance.now();
  readonly #pids: ServerPids;
  readonly #cpuBefore: PerServer;
  readonly #generatorBefore = process.cpuUsage();
  readonly #machineBefore = machineMs();

  constructor(pids: ServerPids) {
    this.#pids = pids;
    this.#cpuBefore = perServer(pids, threadCpuSeconds);
  }

  result(
    latenciesMs: readonly number[],
    count = latenciesMs.length,
    memoryGrowth: PerServer = {},
  ): LoadResult {
    const elapsedMs = performance.now() - this.beganMs;
    const cpu = difference(perServer(this.#pids, threadCpuSeconds), this.#cpuBefore);
    const { user, system } = process.cpuUsage(this.#generatorBefore);
    const machine = machineMs();
    const sorted = Float64Array.from(latenciesMs).toSorted();
    return {
      count,
      elapsedMs,
      p50Ms: percentile(sorted, 0.5),
      p99Ms: percentile(sorted, 0.99),
      cpuSeconds: cpu,
      generatorCpuSeconds: (user + system) / 1e6,
      machineBusy:
        (machine.busy - this.#machineBefore.busy) / (machine.all - this.#machineBefore.all),
      memoryGrowth,
    };
  }
}
