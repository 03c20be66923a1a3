/** What test/support/apps/noting-server.ts has noted: containers, and the runs of calls. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { isAlive } from "./processes.ts";
import { temporaryDirectory } from "./temporary.ts";

/** In /proc/net/tcp, the state of a socket that accepts connections. */
const LISTENING = "0A";

export interface NotedContainer {
  readonly id: string;
  readonly pid: number;
  readonly port: number;
}

export class Notes {
  readonly file = join(temporaryDirectory(), "notes");

  constructor() {
    writeFileSync(this.file, "");
  }

  /** In the order of their starts. */
  get containers(): NotedContainer[] {
    return this.#lines("container").map(([id = "", pid, port]) => ({
      id,
      pid: Number(pid),
      port: Number(port),
    }));
  }

  /** Those whose process is there. */
  get alive(): NotedContainer[] {
    return this.containers.filter(({ pid }) => isAlive(pid));
  }

  /** Ports of containers on which somebody listens. */
  get openPorts(): number[] {
    const table = readFileSync("/proc/net/tcp", "latin1").split("\n").slice(1);
    const open = new Set(
      table
        .map((line) => line.trim().split(/\s+/))
        .filter(([, , , state]) => state === LISTENING)
        .map(([, local = ""]) => Number.parseInt(local.split(":")[1] ?? "", 16)),
    );
    return this.containers.map(({ port }) => port).filter((port) => open.has(port));
  }

  /** The ids of calls that an app began to work on, once for each run. */
  get begun(): string[] {
    return this.#lines("begins").map(([call = ""]) => call);
  }

  /** The paths of the same. */
  get paths(): string[] {
    return this.#lines("begins").map(([, path = ""]) => path);
  }

  /** The ids of calls that an app finished. */
  get ended(): string[] {
    return this.#lines("ends").map(([call = ""]) => call);
  }

  #lines(kind: string): string[][] {
    return readFileSync(this.file, "utf8")
      .split("\n")
      .map((line) => line.split(" "))
      .filter(([first]) => first === kind)
      .map(([, ...words]) => words);
  }
}
