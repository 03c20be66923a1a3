/** What a page of Gradio has asked its app to do. */
import type { Page } from "playwright-core";

/** A job is named by a POST, and told of by a stream of events; Gradio 3 does both by one WebSocket. */
const QUEUE = /\/queue\/(?:join|data)\b/;
/** The stream of jobs that have ended closes sooner. */
const REST_MS = 5_000;
const LOOK_EVERY_MS = 20;

export class PageJobs {
  #asked = 0;
  /** With what they ask for, and since when. */
  readonly #open = new Map<unknown, string>();

  constructor(page: Page) {
    const begin = (one: { url(): string }): void => {
      this.#asked += 1;
      this.#open.set(one, `${one.url()} since ${new Date().toISOString()}`);
    };
    page.on("request", (request) => {
      if (QUEUE.test(request.url())) begin(request);
    });
    page.on("requestfinished", (request) => this.#open.delete(request));
    page.on("requestfailed", (request) => this.#open.delete(request));
    page.on("websocket", (socket) => {
      begin(socket);
      socket.on("close", () => this.#open.delete(socket));
    });
  }

  /** Requests so far. */
  get asked(): number {
    return this.#asked;
  }

  /** The open ones, a line each. */
  get open(): string {
    return [...this.#open.values()].map((one) => `open: ${one}`).join("\n");
  }

  /** No request and no stream is open. */
  get isAtRest(): boolean {
    return this.#open.size === 0;
  }

  /**
   * Waits until nothing is open, or for a while: the page loses a job that is named while its stream closes, without
   * Postern too (test/e2e/sessions/gradio.test.ts).
   */
  async rest(): Promise<void> {
    await until(() => this.isAtRest, REST_MS);
  }
}

/** Waits until this is so, or for so long. */
export async function until(isSo: () => boolean, milliseconds: number): Promise<void> {
  const end = performance.now() + milliseconds;
  while (!isSo() && performance.now() < end) {
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
  }
}
