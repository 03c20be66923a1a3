/**
 * Asks a launcher when the app's work on a call has ended that was given up. HTTP/1.1 does not tell that: an app may
 * end its work late after a disconnect, or ignore it. The other ends are in python/postern_container/calls.py and in
 * module/calls-at-work.ts. Both ends write one callId a line.
 */
import type { Writable } from "node:stream";
import type { CommandChannel } from "./launched-command.ts";
import { LineSplitter } from "./output-lines.ts";

/** The form of the gateway's ids. The launcher is not asked about any other text. */
const CALL_ID = /^[\w-]{1,128}$/;

export class GivenUpCalls {
  readonly #writes: Writable;
  readonly #waiting = new Map<string, (() => void)[]>();
  #closed = false;

  /**
   * @param channel to the launcher; it closes when the launcher ends
   * @param onOther takes the lines that name no call
   */
  constructor(
    { reads, writes }: CommandChannel,
    onOther: (line: string) => void = () => undefined,
  ) {
    this.#writes = writes;
    const lines = new LineSplitter((line) => {
      if (CALL_ID.test(line)) this.#ended(line);
      else onOther(line);
    });
    reads.on("data", (chunk: Buffer) => lines.write(chunk));
    // A launcher that broke off has ended, and its calls with it.
    for (const stream of new Set([reads, writes])) stream.on("error", () => stream.destroy());
    reads.once("close", () => {
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
      if (waiting === undefined) this.#writes.write(`${call}\n`);
    });
  }

  #ended(call: string): void {
    const waiting = this.#waiting.get(call) ?? [];
    this.#waiting.delete(call);
    for (const resolve of waiting) resolve();
  }
}
