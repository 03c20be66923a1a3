/**
 * The one alarm of a workspace's object: it rings at the first of the times that its parts wait for, and again while
 * `Names` has not heard everything.
 */
import type { AppNames } from "./app-names.ts";

/** When `Names` did not answer. */
const RETRY_MS = 1_000;

/** The times that the parts of a workspace wait for, in milliseconds of the epoch. */
export type DueTimes = (now: number) => readonly (number | undefined)[];

export class WorkspaceAlarm {
  readonly #state: DurableObjectState;
  readonly #names: AppNames;
  readonly #dueTimes: DueTimes;
  #looking = false;

  constructor(state: DurableObjectState, names: AppNames, dueTimes: DueTimes) {
    this.#state = state;
    this.#names = names;
    this.#dueTimes = dueTimes;
  }

  /** After the present turn: what is being decided must be noted whole before anybody is told. */
  changed(): void {
    if (this.#looking) return;
    this.#looking = true;
    const told = Promise.resolve().then(async () => {
      this.#looking = false;
      await this.lookAhead();
    });
    this.#state.waitUntil(told);
  }

  /** Tells `Names` what there is to tell, and sets the alarm for whatever comes next. */
  async lookAhead(): Promise<void> {
    await this.#set();
    if (this.#names.isSettled()) return;
    await this.#names.settle();
    await this.#set();
  }

  async #set(): Promise<void> {
    const now = Date.now();
    const retryAt = this.#names.isSettled() ? undefined : now + RETRY_MS;
    const times = [...this.#dueTimes(now), retryAt].filter((time) => time !== undefined);
    if (times.length > 0) await this.#state.storage.setAlarm(Math.max(Math.min(...times), now));
  }
}
