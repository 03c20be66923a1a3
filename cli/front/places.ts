/**
 * Who may be connected at a time. Clients have most of the places, one client address at most half of them. The last
 * places are for boxes that prove who they are, so that no number of strangers keeps a box from dialling. Connections
 * beyond that are refused, and the refusals are bounded too.
 */

import { NetworkCounts } from "../../routing/client-network.ts";
import type { Uncount } from "../../routing/counts.ts";

/** The share of all places that boxes alone may take, and the most of them. */
const BOX_SHARE = 1 / 8;
const MAX_BOX_PLACES = 256;

/** Connections that get a 503 at a time. Further ones are reset. */
const MAX_REFUSALS = 100;

export interface PlacesOptions {
  /** All places together. */
  readonly max: number;
  /** Whether an address stands for many clients: it may take all places of clients. */
  readonly isProxy: (address: string) => boolean;
}

/** Of so many places, those that clients can't take. */
export function placesForBoxes(max: number): number {
  return Math.min(MAX_BOX_PLACES, Math.floor(max * BOX_SHARE));
}

export class Places {
  readonly #clients: CountedPlaces;
  readonly #refusals: CountedPlaces;
  readonly #boxes: CountedPlaces;

  constructor({ max, isProxy }: PlacesOptions) {
    const forBoxes = placesForBoxes(max);
    const half = (places: number) => (address: string) =>
      isProxy(address) ? places : Math.ceil(places / 2);
    this.#clients = new CountedPlaces(max - forBoxes, half(max - forBoxes));
    this.#refusals = new CountedPlaces(MAX_REFUSALS, half(MAX_REFUSALS));
    this.#boxes = new CountedPlaces(forBoxes, () => forBoxes);
  }

  /** Takes a place for anybody; undefined where this address gets none. */
  client(address: string): Uncount | undefined {
    return this.#clients.take(address);
  }

  /** Takes a place for a connection that is refused unless a box is behind it. */
  refusal(address: string): Uncount | undefined {
    return this.#refusals.take(address);
  }

  /** Takes a place for a box that has proved who it is. */
  box(address: string): Uncount | undefined {
    return this.#boxes.take(address);
  }
}

/** A number of places, counted by the network that they are taken from. */
class CountedPlaces {
  readonly #max: number;
  readonly #maxOf: (address: string) => number;
  readonly #taken = new NetworkCounts();

  constructor(max: number, maxOf: (address: string) => number) {
    this.#max = max;
    this.#maxOf = maxOf;
  }

  take(address: string): Uncount | undefined {
    const isFull =
      this.#taken.total >= this.#max || this.#taken.of(address) >= this.#maxOf(address);
    return isFull ? undefined : this.#taken.add(address);
  }
}
