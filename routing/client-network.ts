/** Things of clients, counted by the network that counts as one client. Pure. */
import { Counts, type Uncount } from "./counts.ts";

export class NetworkCounts {
  readonly #counts = new Counts();

  /** Of all networks. */
  get total(): number {
    return this.#counts.total;
  }

  /** Of this address's network. */
  of(address: string): number {
    return this.#counts.of(networkOf(address));
  }

  /** Counts one more of this address's network. */
  add(address: string): Uncount {
    return this.#counts.add(networkOf(address));
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
