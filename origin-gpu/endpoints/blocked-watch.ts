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
    if (this.#timer === undefined) this.#lookAfter(BLOCKED_MS);
  }

  #lookAfter(delayMs: number): void {
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      const counts = this.#counts();
      if (counts.waiting === 0) return;
      const heldMs = this.#newestHeldMs();
      if (heldMs >= BLOCKED_MS) this.#tell(counts, heldMs);
      // Places that are taken too short a time are looked at again when it has been long.
      this.#lookAfter(heldMs >= BLOCKED_MS ? BLOCKED_MS : BLOCKED_MS - heldMs);
    }, delayMs);
    this.#timer.unref();
  }

  /** How long the last call that got a place has had it; 0 where none has one. */
  #newestHeldMs(): number {
    if (this.#heldSince.size === 0) return 0;
    return performance.now() - Math.max(...this.#heldSince.values());
  }

  #tell({ waiting, ready, starting }: PoolCounts, heldMs: number): void {
    const held = this.#heldSince.size;
    const { function: name, maxInputs } = this.#settings;
    const places = ready * maxInputs;
    if (starting > 0 || held < places) return;
    const heldS = Math.round(heldMs / SECOND_MS);
    const requests = waiting === 1 ? "1 request waits" : `${waiting} requests wait`;
    this.#log(
      `postern: ${held} of ${places} places of ${name} are held for ${heldS} s and more, ${requests}: raise max_inputs or max_containers`,
    );
  }
}
