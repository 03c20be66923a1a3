/** A workspace's custom domains, as its object is asked for them. Times are milliseconds of the epoch. */
import { err, type Err, type Result } from "../../../base/result.ts";
import type { DomainState } from "../../../routing/domain-states.ts";
import type { Refusal } from "../../../routing/wire/errors.ts";
import type { Page, PageRequest } from "./pages.ts";

/** An address that a domain may lead to. */
export interface AddressRecord {
  readonly type: "A" | "AAAA";
  readonly value: string;
}

export interface DomainInfo {
  readonly domain: string;
  readonly state: DomainState;
  /** One sentence: what DNS said last, and what is to do; empty where there is nothing to say. */
  readonly detail: string;
  /** The state of a platform's hostname: empty where it serves; null where there is none, or none was looked at. */
  readonly hostname: string | null;
  /** Its addresses in DNS where its clients don't come here; empty where they do; null where that is not known. */
  readonly address: string | null;
  /** Addresses of the gateway, for records where no CNAME can stand; none where they are not known. */
  readonly gatewayAddresses: readonly AddressRecord[];
  /** The TXT record that proves it. */
  readonly proof: { readonly name: string; readonly value: string };
  readonly createdAt: number;
  readonly createdBy: string;
  readonly verifiedAt: number | null;
  readonly checkedAt: number | null;
  /** Since when the proof of a verified domain is gone. */
  readonly missingSince: number | null;
  /** When it lapses unless the proof comes back. */
  readonly lapsesAt: number | null;
}

export function noDomain(domain: string): Err<Refusal> {
  return err({ code: "not_found", detail: `the workspace has no domain ${domain}` });
}

export interface DomainMethods {
  listDomains(page: PageRequest): Page<DomainInfo>;
  /** Notes a domain, which serves nothing until it is proved. Adding it again changes nothing. */
  addDomain(domain: string, by: string): Promise<Result<DomainInfo, Refusal>>;
  /** Asks DNS now. A proof moves the domain here from any other workspace. */
  verifyDomain(domain: string): Promise<Result<DomainInfo, Refusal>>;
  /** Forgets a domain: it serves nothing here any more. */
  removeDomain(domain: string): Promise<Result<undefined, Refusal>>;
}
