/**
 * Follows the logs of boxes. A box that is lost is asked again until it is back, and goes on with the line after the
 * last one that was seen.
 */
import { setTimeout as delay } from "node:timers/promises";
import { Unavailable } from "../client.ts";
import type { BoxLog } from "./box-log.ts";
import type { BoxLine } from "./log-line.ts";

/** Between two tries to reach a box that is away. */
const RETRY_MS = 1_000;

export interface Following {
  /** Resolves when there is room for the next line. */
  readonly print: (line: BoxLine) => Promise<void>;
  readonly notice: (text: string) => void;
  readonly signal: AbortSignal;
  readonly pause?: (milliseconds: number, signal: AbortSignal) => Promise<unknown>;
}

/** Ends with the log, where that ends, or with the signal. @throws {CommandFailure} where the box refuses */
export async function followLog(
  log: BoxLog,
  { print, notice, signal, pause = patience }: Following,
): Promise<void> {
  let isAway = false;
  while (!signal.aborted) {
    try {
      for await (const line of log.lines(true)) {
        if (isAway) notice(`${log.box} is back`);
        isAway = false;
        if (line !== undefined) await print(line);
      }
      return;
    } catch (error) {
      if (!(error instanceof Unavailable)) throw error;
      if (!isAway)
        notice(`${log.box} is away, and its lines go on when it is back: ${error.message}`);
      isAway = true;
      await pause(RETRY_MS, signal);
    }
  }
}

async function patience(milliseconds: number, signal: AbortSignal): Promise<void> {
  await delay(milliseconds, undefined, { signal }).catch(() => undefined);
}
