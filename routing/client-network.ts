/** Things of clients, counted by the network that counts as one client. Pure. */

/** Takes what was counted out again; once is enough. */
export type Uncount = () => void;

export class NetworkCounts {
  readonly #counts = new Map<string, number>();
  #total = 0;

  /** Of all networks. */
  get total(): number {
    return this.#total;
  }

  /** Of this address's network. */
  of(address: string): number {
    return this.#counts.get(networkOf(address)) ?? 0;
  }

  /** Counts one more of this address's network. */
  add(address: string): Uncount {
    const network = networkOf(address);
    this.#total += 1;
    this.#counts.set(network, (this.#counts.get(network) ?? 0) + 1);
    let isCounted = true;
    return () => {
      if (!isCounted) return;
      isCounted = false;
      this.#total -= 1;
      const left = (this.#counts.get(network) ?? 1) - 1;
      if (left === 0) this.#counts.delete(network);
      else this.#counts.set(network, left);
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
