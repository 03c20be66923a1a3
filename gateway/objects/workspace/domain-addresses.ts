/**
 * Where the clients of a domain come out: its addresses in DNS, beside those of the gateway. They prove nothing and decide
 * nothing, since a proxy of the owner's may stand between. People are told of them, so that a wrong record is found.
 *
 * Where a platform serves domains by hostnames of its own, that says more, and nothing is looked up here.
 */
import { parseDomain } from "../../../routing/domains.ts";
import { withoutPort } from "../../../routing/host.ts";
import type { AddressRecord } from "../../contracts/workspace/domains.ts";
import type { DomainsDeps } from "./domains-deps.ts";

export class DomainAddresses {
  readonly #lookUp: DomainsDeps["lookUp"];
  /** The gateway's name; undefined where it has none that DNS knows, as on one's own machine. */
  readonly #gateway: string | undefined;
  #own: readonly AddressRecord[] = [];
  /** The last finding for each domain; for people alone, so that no object's end matters. */
  readonly #findings = new Map<string, string>();

  constructor({ lookUp, baseDomain, hostnames }: DomainsDeps) {
    this.#lookUp = lookUp;
    const host = withoutPort(baseDomain);
    const isKnown = hostnames === undefined && parseDomain(host).ok;
    this.#gateway = isKnown ? host : undefined;
  }

  /** The gateway's addresses, as they were found last. */
  get own(): readonly AddressRecord[] {
    return this.#own;
  }

  /** The last finding for a domain: empty where it leads here; null where that is not known. */
  of(domain: string): string | null {
    return this.#findings.get(domain) ?? null;
  }

  forget(domain: string): void {
    this.#findings.delete(domain);
  }

  /** Asks DNS for the gateway's addresses. */
  async lookUpOwn(): Promise<void> {
    if (this.#gateway === undefined) return;
    this.#own = (await this.#addressesOf(this.#gateway)) ?? this.#own;
  }

  /** Asks DNS for a domain's addresses and for the gateway's. */
  async compare(domain: string): Promise<void> {
    if (this.#gateway === undefined) return;
    const [found] = await Promise.all([this.#addressesOf(domain), this.lookUpOwn()]);
    if (found === undefined || this.#own.length === 0) this.#findings.delete(domain);
    else this.#findings.set(domain, this.#finding(domain, this.#gateway, found));
  }

  #finding(domain: string, gateway: string, found: readonly AddressRecord[]): string {
    const own = this.#own.map(({ value }) => value);
    const foreign = found.map(({ value }) => value).filter((value) => !own.includes(value));
    if (found.length > 0 && foreign.length === 0) return "";
    const addresses = foreign.length === 0 ? "no address" : foreign.join(", ");
    return `DNS has ${addresses} for ${domain}, and ${own.join(", ")} for ${gateway}`;
  }

  /** Undefined where DNS does not tell. */
  async #addressesOf(name: string): Promise<AddressRecord[] | undefined> {
    const types = ["A", "AAAA"] as const;
    const lookups = await Promise.all(
      types.map(async (type) => ({ type, found: await this.#lookUp({ name, type }) })),
    );
    const records: AddressRecord[] = [];
    for (const { type, found } of lookups) {
      if ("unanswered" in found) return undefined;
      for (const value of found.values) records.push({ type, value });
    }
    return records;
  }
}
