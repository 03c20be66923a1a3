/** Tells the operator when calls wait because others hold every place for long: an open browser tab, mostly. */
import { SECOND_MS } from "../../base/units.ts";
import type { EndpointConfig } from "../config/app-config.ts";
import type { PoolCounts } from "../core/pool.ts";

/** Places are held for long from here on; and at most one line is written in this time. */
const BLOCKED_MS = 20_000;

export class BlockedWatch<Holder extends object> {
  readonly #settings: EndpointConfig;
  readonly #counts: () => PoolCounts;
  readonly #log: (line: string) => void;
  /** When calls got the places that they have, in milliseconds of `performance.now()`. */
  readonly #heldSince = new Map<Holder, number>();
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** @param log one line for the operator */
  constructor(settings: EndpointConfig, counts: () => PoolCounts, log: (line: string) => void) {
    this.#settings = settings;
    this.#counts = counts;
    this.#log = log;
  }

  /** Those that have a place. */
  get holders(): Iterable<Holder> {
    return this.#heldSince.keys();
  }

  /** A call got a place. */
  onHeld(holder: Holder): void {
    this.#heldSince.set(holder, performance.now());
  }

  /** Its place is free. */
  onFree(holder: Holder): void {
    this.#heldSince.delete(holder);
  }

  /** A call has to wait. */
  onWaiting(): void {
    if (this.#timer !== undefined) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      const counts = this.#counts();
      if (counts.waiting === 0) return;
      this.#tell(counts);
      this.onWaiting();
    }, BLOCKED_MS);
    this.#timer.unref();
  }

  #tell({ waiting, ready, starting }: PoolCounts): void {
    const held = this.#heldSince.size;
    const { function: name, maxInputs } = this.#settings;
    const places = ready * maxInputs;
    const newestHeldAtMs = Math.max(...this.#heldSince.values());
    const heldMs = performance.now() - newestHeldAtMs;
    if (starting > 0 || held < places || heldMs < BLOCKED_MS) return;
    const heldS = Math.round(heldMs / SECOND_MS);
    const requests = waiting === 1 ? "1 request waits" : `${waiting} requests wait`;
    this.#log(
      `postern: ${held} of ${places} places of ${name} are held for ${heldS} s and more, ${requests}: raise max_inputs or max_containers`,
    );
  }
}
