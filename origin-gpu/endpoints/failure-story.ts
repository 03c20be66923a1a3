/** Tells the operator of containers that fail again and again: a crash loop is said as such. */
import { SECOND_MS } from "../../base/units.ts";
import type { Pool } from "../core/pool.ts";
import { FAILURES_OF_A_CRASH_LOOP } from "../core/start-backoff.ts";

type FailingPool = Pick<Pool<unknown>, "failures" | "hasGivenUp" | "notBeforeMs">;

export class FailureStory {
  readonly #pool: FailingPool;
  readonly #notice: (text: string) => void;
  /** The operator knows of so many. */
  #told = 0;

  constructor(pool: FailingPool, notice: (text: string) => void) {
    this.#pool = pool;
    this.#notice = notice;
  }

  /** Puts the last failure into its story. @param lastFailure one line, or nothing */
  describe(lastFailure: string): string {
    const story = this.#story;
    return story === undefined ? lastFailure : `${story}: ${lastFailure}`;
  }

  /** Writes a line where there is another failure by now. */
  tell(nowMs: number): void {
    const { failures, hasGivenUp, notBeforeMs } = this.#pool;
    if (failures === this.#told) return;
    this.#told = failures;
    const story = this.#story;
    if (story === undefined) return;
    const waitS = Math.max(0, Math.ceil((notBeforeMs - nowMs) / SECOND_MS));
    const next = hasGivenUp
      ? "change the app, or serve it anew"
      : `the next start is at least ${waitS} s away`;
    this.#notice(`postern: ${story} without a minute of service: ${next}`);
  }

  /** Undefined for less than a crash loop. */
  get #story(): string | undefined {
    const { failures, hasGivenUp } = this.#pool;
    if (hasGivenUp) return `given up after ${failures} failures in a row`;
    return failures < FAILURES_OF_A_CRASH_LOOP
      ? undefined
      : `crash loop, ${failures} failures in a row`;
  }
}
