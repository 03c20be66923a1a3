/** The states that a call has come to, and when: what `postern call inspect` shows. Pure: time is an argument. */
import { type CallEvent, type CallState, transition } from "./states.ts";

/** A state, and the time in milliseconds at which the call came to it. */
interface Step {
  readonly state: CallState;
  readonly at: number;
}

export class CallHistory {
  #steps: readonly [Step, ...Step[]];
  #state: CallState;

  constructor(state: CallState, at: number) {
    this.#state = state;
    this.#steps = [{ state, at }];
  }

  get state(): CallState {
    return this.#state;
  }

  /** When the call was opened. */
  get openedAt(): number {
    return this.#steps[0].at;
  }

  /** When it came to its present state. */
  get changedAt(): number {
    return (this.#steps.at(-1) as Step).at;
  }

  /**
   * Takes the next state, where that is legal.
   * @returns false for an event that came too late
   */
  advance(event: CallEvent, at: number): boolean {
    const next = transition(this.#state, event);
    if (next === "illegal") return false;
    if (next !== this.#state) this.#steps = [...this.#steps, { state: next, at }];
    this.#state = next;
    return true;
  }

  /** Milliseconds from the call's opening to this time. */
  elapsedMs(at: number): number {
    return Math.round(at - this.openedAt);
  }

  /** The states in their order, with times since the call's opening. */
  describe(): { state: CallState; atMs: number }[] {
    return this.#steps.map(({ state, at }) => ({ state, atMs: this.elapsedMs(at) }));
  }
}
