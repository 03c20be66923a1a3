/**
 * Reports the use of this box by tokens to the gateway, every few seconds while there is some, and once more at the end
 * (docs/protocol.md, "Usage"). A batch that the gateway was not heard to take is sent again under its number, and counts
 * once. An agent that is killed loses what it has not reported.
 */
import { within } from "../../base/runtime/within.ts";
import { messageOf } from "../../base/thrown.ts";
import { SECOND_MS } from "../../base/units.ts";
import { MAX_USAGE_ROWS, type UsageBatch } from "../../routing/wire/usage.ts";
import type { SharedTime } from "../core/shared-time.ts";
import { TokenUsage } from "../core/token-usage.ts";
import type { CallUsage } from "../endpoints/place-times.ts";
import type { QueuedCall } from "../endpoints/queued-call.ts";
import type { GatewayClient } from "../link/gateway-client.ts";
import { type Later, laterByTimer } from "./coalesced-task.ts";

/** A token spends at most so much beyond its budget, on each place that it has. */
const REPORT_MS = 5 * SECOND_MS;

/** An agent that ends waits so long at most for its last report. */
const LAST_REPORT_MS = 2 * SECOND_MS;

/** The operator hears of it after so many failures in a row: a gateway that restarts is back before. */
const TOLD_FAILURES = 12;

export interface UsageReportsOptions {
  readonly send: (batch: UsageBatch) => Promise<void>;
  readonly later: Later;
  /** Milliseconds of any clock that never goes back. */
  readonly now: () => number;
  readonly notice: (line: string) => void;
}

export class UsageReports implements CallUsage {
  readonly #options: UsageReportsOptions;
  readonly #usage = new TokenUsage<QueuedCall>();
  /** Sent, and not known to have been taken. */
  #unheard: UsageBatch | undefined;
  #lastBatch = 0;
  #failures = 0;
  #sending: Promise<void> | undefined;
  #forget: (() => void) | undefined;
  #isClosed = false;

  constructor(options: UsageReportsOptions) {
    this.#options = options;
  }

  begin(queued: QueuedCall, time: SharedTime, nowMs: number): void {
    const { endpoint, caller } = queued.call.head;
    if (caller === undefined) return;
    const isAgain = queued.call.reruns > 0 || queued.unsent > 0;
    this.#usage.begin(queued, { token: caller.token, endpoint }, time, isAgain, nowMs);
    this.#reportLater();
  }

  end(queued: QueuedCall, nowMs: number): void {
    this.#usage.end(queued, nowMs);
  }

  /** Reports the rest. Resolves when the gateway has it, or does not answer. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#forget?.();
    await this.#sending;
    await within(LAST_REPORT_MS, this.#send());
  }

  #reportLater(): void {
    if (this.#isClosed || this.#forget !== undefined) return;
    this.#forget = this.#options.later(() => {
      this.#sending = this.#send().then(() => {
        this.#sending = undefined;
        this.#forget = undefined;
        if (this.#unheard !== undefined || !this.#usage.isEmpty) this.#reportLater();
      });
    }, REPORT_MS);
  }

  /** Never rejects: what could not be sent is sent later. */
  async #send(): Promise<void> {
    try {
      for (let next = this.#next(); next !== undefined; next = this.#next()) {
        await this.#options.send(next);
        this.#unheard = undefined;
        this.#failures = 0;
      }
    } catch (error) {
      this.#failures += 1;
      if (this.#failures !== TOLD_FAILURES) return;
      const why = messageOf(error);
      this.#options.notice(`postern: the use by tokens can't be reported, and is kept: ${why}`);
    }
  }

  #next(): UsageBatch | undefined {
    if (this.#unheard !== undefined) return this.#unheard;
    const rows = this.#usage.collect(MAX_USAGE_ROWS, this.#options.now());
    if (rows.length === 0) return undefined;
    this.#lastBatch += 1;
    this.#unheard = { batch: this.#lastBatch, rows };
    return this.#unheard;
  }
}

/** Reports by HTTP, on real timers. */
export function usageReportsTo(
  gateway: Pick<GatewayClient, "ask">,
  notice: (line: string) => void,
): UsageReports {
  return new UsageReports({
    send: async (batch) => {
      await gateway.ask("usage", {}, batch);
    },
    later: laterByTimer,
    now: () => performance.now(),
    notice,
  });
}
