/**
 * Keeps one Caddy running: starts it, starts it again when it dies, and ends it. Caddy has a process group of its own,
 * so a terminal's Ctrl-C does not reach it, and it ends with this process, however that ends.
 */

import { spawn, type ChildProcess } from "node:child_process";
import { randomBytes } from "node:crypto";
import { accessSync, constants } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { delimiter, join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as delay } from "node:timers/promises";
import type { Observer } from "../../../base/observer.ts";
import { within } from "../../../base/runtime/within.ts";
import { endWithThisProcess, exitOf, RestartPauses } from "../owned-process.ts";
import { CaddyLines } from "./caddy-lines.ts";

/** Caddy listens within a second on a quiet machine. */
const START_TIMEOUT_MS = 30_000;

export interface CaddyOptions {
  /** The executable. */
  readonly file: string;
  readonly configPath: string;
  /** Where it runs: files that the configuration names are here. */
  readonly directory: string;
  readonly environment: Readonly<Record<string, string>>;
  readonly observer: Observer;
}

export interface Caddy {
  /** Asks Caddy to take no new connections, to finish its responses and to end. Resolves when it has ended. */
  drain(): Promise<void>;
  kill(): void;
}

/** The executable of that name on the path. @param path the variable PATH */
export function findCaddy(path: string): string | undefined {
  for (const directory of path.split(delimiter)) {
    if (directory === "") continue;
    const file = join(directory, "caddy");
    try {
      accessSync(file, constants.X_OK);
      return file;
    } catch {
      // Not here.
    }
  }
  return undefined;
}

/** Why Caddy did not start: its last lines. */
export class CaddyFailure extends Error {
  override name = "CaddyFailure";
}

/** Starts Caddy and waits until it listens. @throws {CaddyFailure} if it ends before */
export async function startCaddy(options: CaddyOptions): Promise<Caddy> {
  const supervisor = new CaddySupervisor(options);
  await supervisor.start();
  return supervisor;
}

class CaddySupervisor implements Caddy {
  readonly #options: CaddyOptions;
  readonly #pauses = new RestartPauses();
  readonly #lines: CaddyLines;
  #child: ChildProcess | undefined;
  #stopping = false;

  constructor(options: CaddyOptions) {
    this.#options = options;
    this.#lines = new CaddyLines(options.observer.notice);
  }

  async start(): Promise<void> {
    const pingback = await Pingback.listen();
    const child = this.#spawn(pingback);
    const how = await within(
      START_TIMEOUT_MS,
      Promise.race([pingback.arrived.then(() => "listens" as const), exitOf(child)]),
    );
    pingback.close();
    if (how === "listens") return this.#superviseFrom(child);
    this.kill();
    const what = how === undefined ? "does not listen" : `ended (${how})`;
    throw new CaddyFailure([`caddy ${what}`, ...this.#lines.last].join("\n  "));
  }

  async drain(): Promise<void> {
    this.#stopping = true;
    const child = this.#child;
    if (child === undefined) return;
    child.kill("SIGTERM");
    await exitOf(child);
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
        this.#options.observer.notice(`caddy ended (${how}); starting it again ${when}`);
        if (waitMs > 0) await delay(waitMs);
        if (this.#stopping) return;
        startedAt = performance.now();
        child = this.#spawn();
      }
    })();
  }

  #spawn(pingback?: Pingback): ChildProcess {
    const { file, configPath, directory, environment } = this.#options;
    const child = spawn(
      file,
      [
        "run",
        "--config",
        configPath,
        "--adapter",
        "caddyfile",
        ...(pingback === undefined ? [] : ["--pingback", pingback.address]),
      ],
      {
        cwd: directory,
        env: environment,
        stdio: ["pipe", "ignore", "pipe"],
        detached: true,
      },
    );
    this.#child = child;
    const watcher = child.pid === undefined ? undefined : endWithThisProcess(child.pid);
    child.on("exit", () => watcher?.kill("SIGKILL"));
    // Without a process there is an 'error' and no 'exit'.
    child.on("error", (error) => this.#lines.add(error.message, performance.now()));
    child.stdin.on("error", () => undefined);
    child.stdin.end(pingback?.word);
    createInterface({ input: child.stderr }).on("line", (line) =>
      this.#lines.add(line, performance.now()),
    );
    return child;
  }
}

/** Where Caddy says that it listens: it sends there what it has read from its stdin. */
class Pingback {
  readonly address: string;
  readonly word: string;
  /** Resolves when Caddy listens. */
  readonly arrived: Promise<void>;
  readonly close: () => void;

  private constructor(address: string, word: string, arrived: Promise<void>, close: () => void) {
    this.address = address;
    this.word = word;
    this.arrived = arrived;
    this.close = close;
  }

  static async listen(): Promise<Pingback> {
    const word = randomBytes(32).toString("hex");
    const arrived = Promise.withResolvers<void>();
    const server = createServer((socket) => {
      let heard = "";
      socket.on("error", () => undefined);
      socket.setEncoding("latin1").on("data", (text: string) => {
        heard = (heard + text).slice(0, word.length);
        if (heard === word) arrived.resolve();
      });
    });
    const listening = Promise.withResolvers<void>();
    server.once("error", listening.reject);
    server.listen(0, "127.0.0.1", listening.resolve);
    await listening.promise;
    const { port } = server.address() as AddressInfo;
    return new Pingback(`127.0.0.1:${port}`, word, arrived.promise, () => server.close());
  }
}
