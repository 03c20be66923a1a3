/**
 * The stage keeper of test/support/apps/staged-server.ts: lives in the test, so that what the app did is
 * known here even when the app was killed, and holds each piece of work at the stages that the test names.
 */
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";

/**
 * Where a request is in the app: its first bytes have come; its body is whole; its headers are on their
 * way; half of its answer is.
 */
export type Stage = "receiving" | "running" | "answering" | "streaming";

/** Bytes of an answer: several frames of the link, and more than a first window. */
const ANSWER_CHARACTERS = 200_000;

/** What the app answers to the work of this name. */
export function answerOf(key: string): string {
  const line = `the answer of ${key}\n`;
  return line.repeat(Math.ceil(ANSWER_CHARACTERS / line.length)).slice(0, ANSWER_CHARACTERS);
}

export const DOWNLOAD_BLOCK_BYTES = 64 * 1024;

/** The block of a download at this offset: no two blocks are the same. */
export function downloadBlock(start: number, size: number): Buffer {
  return Buffer.alloc(Math.min(DOWNLOAD_BLOCK_BYTES, size - start), `block ${start} `);
}

interface Work {
  readonly reached: Set<Stage>;
  /** Those at which it waits, each with what lets it go on. */
  readonly waiting: Map<Stage, () => void>;
  readonly held: Set<Stage>;
  /** The app was told to stop while it waited here. */
  readonly left: PromiseWithResolvers<void>;
  /** Bytes of each body that came whole: one for each execution. */
  readonly executions: number[];
}

export class Stages {
  readonly #server: Server;
  readonly #works = new Map<string, Work>();
  readonly #watchers = new Set<() => void>();

  private constructor(server: Server) {
    this.#server = server;
  }

  /** Starts the keeper on a free loopback port. */
  static async start(): Promise<Stages> {
    const stages: Stages = new Stages(
      createServer((request, response) => {
        const query = new URL(request.url ?? "/", "http://keeper.invalid").searchParams;
        const stage = query.get("stage") as Stage;
        const key = query.get("key") ?? "";
        response.once("close", () => {
          if (!response.writableFinished) stages.#work(key).left.resolve();
        });
        stages.#reach(key, stage, Number(query.get("bytes")), () => response.writeHead(204).end());
      }),
    );
    // An app that was stopped for a while uses its connections again.
    stages.#server.keepAliveTimeout = 0;
    await new Promise<void>((resolve) => {
      stages.#server.listen(0, "127.0.0.1", resolve);
    });
    return stages;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Holds this work at these stages, from now on. */
  hold(key: string, ...stages: readonly Stage[]): void {
    const { held } = this.#work(key);
    for (const stage of stages) held.add(stage);
  }

  /** Holds nothing of this work any more. */
  release(key: string): void {
    const { held, waiting } = this.#work(key);
    held.clear();
    for (const goOn of waiting.values()) goOn();
    waiting.clear();
  }

  /** Lets this work go on to the next stage at which it is held. */
  pass(key: string, stage: Stage): void {
    const { held, waiting } = this.#work(key);
    held.delete(stage);
    waiting.get(stage)?.();
    waiting.delete(stage);
  }

  /** Resolves when all of these works have reached the stage; rejects when the time is up. */
  async reached(keys: readonly string[], stage: Stage, timeoutMs = 15_000): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const missing = (): string[] => keys.filter((key) => !this.#work(key).reached.has(stage));
      const check = (): void => {
        if (missing().length > 0) return;
        clearTimeout(timer);
        this.#watchers.delete(check);
        resolve();
      };
      const timer = setTimeout(() => {
        this.#watchers.delete(check);
        const late = missing();
        const shown = late.slice(0, 10).join(", ");
        reject(new Error(`${late.length} not ${stage} within ${timeoutMs} ms: ${shown}`));
      }, timeoutMs);
      this.#watchers.add(check);
      check();
    });
  }

  /** Resolves when the app gave this work up while it was held: its client had left. */
  async left(key: string): Promise<void> {
    await this.#work(key).left.promise;
  }

  /** Bytes of each body that came whole for this work: one for each execution. */
  executions(key: string): readonly number[] {
    return this.#work(key).executions;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
    });
  }

  #reach(key: string, stage: Stage, bytes: number, goOn: () => void): void {
    const { reached, held, waiting, executions } = this.#work(key);
    reached.add(stage);
    if (stage === "running") executions.push(bytes);
    if (held.has(stage)) waiting.set(stage, goOn);
    else goOn();
    for (const check of this.#watchers) check();
  }

  #work(key: string): Work {
    let work = this.#works.get(key);
    if (work === undefined) {
      work = {
        reached: new Set(),
        waiting: new Map(),
        held: new Set(),
        left: Promise.withResolvers(),
        executions: [],
      };
      this.#works.set(key, work);
    }
    return work;
  }
}
