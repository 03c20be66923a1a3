/**
 * Custom domains: host names outside the base domain that belong to a workspace. A domain is a name of two labels or
 * more, `api.example.com`, or a wildcard, `*.example.net`, whose star stands for exactly one label. Decides which
 * texts are domains, which of them match a host, and where each is kept. Pure.
 *
 * Keeps no list of public suffixes. Only a record in DNS proves a domain, and nobody but its registry could set one
 * for `*.co.uk`.
 */
import { err, ok, type Result } from "../base/result.ts";
import { isDomainName, MAX_HOST_LENGTH, withoutPort } from "./host.ts";

/** The label below a domain at which its proof is asked for. */
const CHALLENGE_LABEL = "_postern-challenge";

/** The proof's name is a host name too. */
export const MAX_DOMAIN_LENGTH = MAX_HOST_LENGTH - CHALLENGE_LABEL.length - 1;

/** A domain in its one spelling, lower case; or the sentence that says what is wrong with the text. */
export function parseDomain(text: string): Result<string, string> {
  const star = text.startsWith("*.");
  const name = star ? text.slice(2) : text;
  if (/[^ -~]/.test(name)) {
    return wrong(text, "is not ASCII: write it in its A-label form, such as xn--bcher-kva.example");
  }
  if (name.includes("*")) return wrong(text, "may have one star alone, as its whole first label");
  if (/^\[|:.*:/.test(name) || /^[\d.]+$/.test(name)) return wrong(text, "is an IP address");
  if (name.length > MAX_DOMAIN_LENGTH) {
    return wrong(text, `is longer than ${MAX_DOMAIN_LENGTH} characters`);
  }
  const domain = name.toLowerCase();
  if (!domain.includes(".")) return wrong(text, "needs two labels or more, such as example.com");
  if (!/^[a-z0-9.-]+$/.test(domain) || !isDomainName(domain)) {
    return wrong(
      text,
      "is not a domain name: labels of letters, digits and inner dashes, up to 63 characters each, with dots between",
    );
  }
  return ok(star ? `*.${domain}` : domain);
}

/** Why a domain cannot be a custom one at this gateway; undefined where it can. */
export function ownedByGateway(domain: string, baseDomain: string): string | undefined {
  const base = withoutPort(baseDomain);
  const { name } = partsOf(domain);
  if (name !== base && !name.endsWith(`.${base}`)) return undefined;
  return `${domain} is the gateway's own: endpoints below ${base} have their names already`;
}

/**
 * The domains that match a host, the winner first: its exact name, then the wildcard one label above. A star is one
 * label deep, so no other wildcard matches.
 */
export function domainsMatching(host: string): readonly string[] {
  const parent = host.slice(host.indexOf(".") + 1);
  return parent.includes(".") ? [host, `*.${parent}`] : [host];
}

/** Whether a workspace that has these domains may name this one: it has the domain, or the wildcard above it. */
export function isAmong(domain: string, had: ReadonlySet<string>): boolean {
  return had.has(domain) || domainsMatching(domain).some((match) => had.has(match));
}

/** The name whose TXT record proves a domain. A wildcard is proved at the name below its star. */
export function challengeName(domain: string): string {
  return `${CHALLENGE_LABEL}.${partsOf(domain).name}`;
}

/** The name below which a platform's hostname covers a domain, and whether the domain is its wildcard. */
export function hostnameOf(domain: string): { hostname: string; isWildcard: boolean } {
  const { star, name } = partsOf(domain);
  return { hostname: name, isWildcard: star };
}

/** The domain that shares its hostname with this one: the wildcard of a name, or the name of a wildcard. */
export function otherForm(domain: string): string {
  const { star, name } = partsOf(domain);
  return star ? name : `*.${name}`;
}

/** A domain as the registry of names keeps it: each workspace has its own, and the claim says whose counts. */
export function domainRoute(workspace: string, domain: string): string {
  return `${workspace}/${domain}`;
}

/** The domain of such a name; undefined for an endpoint's name. */
export function domainOfRoute(name: string): string | undefined {
  const slash = name.indexOf("/");
  return slash === -1 ? undefined : name.slice(slash + 1);
}

/**
 * The text whose hash is a name's shard: of an endpoint's name itself, of a domain, its route or a host the last two
 * labels. So one shard knows all that can match a host.
 */
export function shardKeyOf(name: string): string {
  const domain = domainOfRoute(name) ?? name;
  return domain.split(".").slice(-2).join(".");
}

function partsOf(domain: string): { star: boolean; name: string } {
  const star = domain.startsWith("*.");
  return { star, name: star ? domain.slice(2) : domain };
}

function wrong(text: string, what: string): Result<never, string> {
  return err(`${JSON.stringify(text.slice(0, 300))} ${what}`);
}
