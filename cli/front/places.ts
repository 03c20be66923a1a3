/**
 * Who may be connected at a time. Clients have most of the places, one client address at most half of them. The last
 * places are for boxes that prove who they are, so that no number of strangers keeps a box from dialling. Connections
 * beyond that are refused, and the refusals are bounded too.
 */

/** The share of all places that boxes alone may take, and the most of them. */
const BOX_SHARE = 1 / 8;
const MAX_BOX_PLACES = 256;

/** Connections that get a 503 at a time. Further ones are reset. */
const MAX_REFUSALS = 100;

/** Gives a place back. */
export type Release = () => void;

export interface PlacesOptions {
  /** All places together. */
  readonly max: number;
  /** Whether an address stands for many clients: it may take all places of clients. */
  readonly isProxy: (address: string) => boolean;
}

export class Places {
  readonly #clients: Counted;
  readonly #refusals: Counted;
  readonly #boxes: Counted;

  constructor({ max, isProxy }: PlacesOptions) {
    const forBoxes = Math.min(MAX_BOX_PLACES, Math.floor(max * BOX_SHARE));
    const half = (places: number) => (address: string) =>
      isProxy(address) ? places : Math.ceil(places / 2);
    this.#clients = new Counted(max - forBoxes, half(max - forBoxes));
    this.#refusals = new Counted(MAX_REFUSALS, half(MAX_REFUSALS));
    this.#boxes = new Counted(forBoxes, () => forBoxes);
  }

  /** Takes a place for anybody; undefined where this address gets none. */
  client(address: string): Release | undefined {
    return this.#clients.take(address);
  }

  /** Takes a place for a connection that is refused unless a box is behind it. */
  refusal(address: string): Release | undefined {
    return this.#refusals.take(address);
  }

  /** Takes a place for a box that has proved who it is. */
  box(address: string): Release | undefined {
    return this.#boxes.take(address);
  }
}

/** A number of places, counted by the network that they are taken from. */
class Counted {
  readonly #max: number;
  readonly #maxOf: (address: string) => number;
  readonly #taken = new Map<string, number>();
  #total = 0;

  constructor(max: number, maxOf: (address: string) => number) {
    this.#max = max;
    this.#maxOf = maxOf;
  }

  take(address: string): Release | undefined {
    const network = networkOf(address);
    const taken = this.#taken.get(network) ?? 0;
    if (this.#total >= this.#max || taken >= this.#maxOf(address)) return undefined;
    this.#total += 1;
    this.#taken.set(network, taken + 1);
    return () => {
      this.#total -= 1;
      const left = (this.#taken.get(network) ?? 1) - 1;
      if (left === 0) this.#taken.delete(network);
      else this.#taken.set(network, left);
    };
  }
}

/** A client has a whole /64 of IPv6 (RFC 6177), so its addresses there count as one. */
export function networkOf(address: string): string {
  if (!address.includes(":")) return address;
  const [before = "", after] = address.split("::");
  const groups = before === "" ? [] : before.split(":");
  const last = after === undefined || after === "" ? [] : after.split(":");
  const zeros = after === undefined ? 0 : Math.max(0, 8 - groups.length - last.length);
  return [...groups, ...Array.from({ length: zeros }, () => "0"), ...last].slice(0, 4).join(":");
}
