/**
 * Which calls the app works on. The agent writes the id of a call that it gave up, as one line; it gets the line back
 * when the app works on that call no longer, and never will. The other end is containers/given-up-calls.ts.
 */

/** Calls that were given up may still be on their way to the app; later ones push out the oldest. */
const MAX_REMEMBERED_CALLS = 10_000;

export class CallsAtWork {
  readonly #tell: (call: string) => void;
  readonly #working = new Map<string, number>();
  readonly #givenUp = new Set<string>();
  #count = 0;
  #onNone: (() => void) | undefined;

  /** @param tell tells the agent that the app does not work on a call that it gave up */
  constructor(tell: (call: string) => void) {
    this.#tell = tell;
  }

  /** Resolves when no work is left. */
  async none(): Promise<void> {
    if (this.#count === 0) return;
    await new Promise<void>((resolve) => {
      this.#onNone = resolve;
    });
  }

  /**
   * Does the work of a call. It never rejects.
   * @param call its id as the gateway gave it
   * @param work the app's part
   * @param sent resolves when its response has been sent, or can't be
   * @returns whether the work was done: nobody waits for a call that was given up before
   */
  async run(
    call: string | undefined,
    work: () => Promise<void>,
    sent: Promise<void>,
  ): Promise<boolean> {
    if (call !== undefined && this.#givenUp.has(call)) return false;
    this.#count += 1;
    if (call !== undefined) this.#working.set(call, (this.#working.get(call) ?? 0) + 1);
    await work();
    if (call !== undefined) this.#ended(call);
    await sent;
    this.#count -= 1;
    if (this.#count === 0) this.#onNone?.();
    return true;
  }

  giveUp(call: string): void {
    this.#givenUp.add(call);
    if (this.#givenUp.size > MAX_REMEMBERED_CALLS) {
      for (const oldest of this.#givenUp) {
        this.#givenUp.delete(oldest);
        break;
      }
    }
    if (!this.#working.has(call)) this.#tell(call);
  }

  #ended(call: string): void {
    const others = (this.#working.get(call) ?? 1) - 1;
    if (others > 0) {
      this.#working.set(call, others);
      return;
    }
    this.#working.delete(call);
    if (this.#givenUp.has(call)) this.#tell(call);
  }
}
