/** The parts of the gateway that custom domains use. */
import type { DomainTimes } from "../../../routing/domain-states.ts";
import type { DomainClaim } from "../../contracts/names.ts";
import type { CustomHostnames } from "./custom-hostnames.ts";
import type { DnsLookup, DnsQuestion } from "./dns-over-https.ts";

/** `Names`, as far as it holds the claims of domains. */
export interface DomainClaims {
  claimDomain(domain: string, workspace: string, how: DomainClaim): Promise<boolean>;
  releaseDomain(domain: string, workspace: string): Promise<void>;
  isClaimedBesides(domain: string, workspace: string): Promise<boolean>;
}

export interface DomainsDeps {
  readonly sql: SqlStorage;
  readonly workspace: string;
  readonly baseDomain: string;
  readonly claims: DomainClaims;
  /** The value of the record that proves a domain. It is kept: a new key of the gateway changes no record. */
  readonly proofOf: (domain: string) => Promise<string>;
  readonly lookUp: (question: DnsQuestion) => Promise<DnsLookup>;
  readonly times: DomainTimes;
  /** Where a platform serves custom domains only by hostnames of its own. */
  readonly hostnames: CustomHostnames | undefined;
  /** There is a check to wait for. */
  readonly changed: () => void;
}
