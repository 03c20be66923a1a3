/**
 * Asks a launcher whether the app still works on calls that were given up: an app may take its time over
 * a disconnect, or take no notice at all, and HTTP/1.1 does not tell. The other end is in
 * python/serve_asgi.py; both write one call id a line.
 */
import type { Duplex } from "node:stream";
import { LineSplitter } from "./output-lines.ts";

/** What the gateway makes; anything else is not asked about. */
const CALL_ID = /^[\w-]{1,128}$/;

export class GivenUpCalls {
  readonly #channel: Duplex;
  readonly #waiting = new Map<string, (() => void)[]>();
  #closed = false;

  /** @param channel to the launcher; it closes when the launcher ends */
  constructor(channel: Duplex) {
    this.#channel = channel;
    const lines = new LineSplitter((call) => this.#ended(call));
    channel.on("data", (chunk: Buffer) => lines.write(chunk));
    // A launcher that broke off has ended, and its calls with it.
    channel.on("error", () => channel.destroy());
    channel.once("close", () => {
      this.#closed = true;
      for (const call of this.#waiting.keys()) this.#ended(call);
    });
  }

  /** Resolves when the app works on it no longer, and will not; or when the launcher is gone. */
  async ended(call: string): Promise<void> {
    if (this.#closed || !CALL_ID.test(call)) return;
    await new Promise<void>((resolve) => {
      const waiting = this.#waiting.get(call);
      this.#waiting.set(call, [...(waiting ?? []), resolve]);
      if (waiting === undefined) this.#channel.write(`${call}\n`);
    });
  }

  #ended(call: string): void {
    const waiting = this.#waiting.get(call) ?? [];
    this.#waiting.delete(call);
    for (const resolve of waiting) resolve();
  }
}
