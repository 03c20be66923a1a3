/**
 * What an endpoint is called: from workspace, app and function to `<source>--<label>.<base domain>`.
 * Gateway, agent, API and `postern url` all build names here, so that they cannot disagree;
 * names-vectors.json holds the same rules as data for any other implementation.
 *
 * Names are built, not owned: whether one is free is for `Names` to say. Different inputs may meet in
 * one name (`a_b` and `a-b`; app `a`, function `b-c` and app `a-b`, function `c`), and the claim decides.
 */
import { sha256Hex } from "./sha256.ts";

/** RFC 1035, 2.3.4. */
export const MAX_DNS_LABEL_LENGTH = 63;

/** Hex digits of the hash that stands in for what was cut off an overlong name. */
const HASH_DIGITS = 6;

/** Room for one environment's or person's initials beside the name; a dev suffix is never cut. */
const MAX_DEV_SUFFIX_LENGTH = 16;

export const DEFAULT_DEV_SUFFIX = "dev";

/** A value, or why there is none, in words for the person who chose the name. */
export type Named = { ok: true; value: string } | { ok: false; reason: string };

/** Everything that decides an endpoint's URL. */
export interface EndpointIdentity {
  workspace: string;
  /** The environment's web suffix as stored (`webSuffixOf` gives the one it starts with); may be empty. */
  suffix: string;
  app: string;
  function: string;
  /** The class, when `function` is its method. */
  class?: string | undefined;
  /** The user's own label instead of the generated one: refused when invalid, never repaired. */
  label?: string | undefined;
  /** Set for ephemeral apps, without its dash: `dev`. */
  devSuffix?: string | undefined;
}

/** App, environment and box names: 1 to 64 of ASCII letters, digits, `-`, `.` and `_`. */
export function isObjectName(name: string): boolean {
  return /^[A-Za-z0-9._-]{1,64}$/.test(name);
}

/** The web suffix that an environment has until it is changed: none for `main`, else its own name. */
export function webSuffixOf(environment: string): string {
  return environment === "main" ? "" : normalise(environment);
}

/**
 * Lower-case; every run of characters other than ASCII letters, digits and dashes becomes one dash;
 * dashes at the ends go. May leave nothing.
 */
export function normalise(component: string): string {
  // Replaced first, so that only ASCII is ever lower-cased: the Kelvin sign would become a plain k.
  const dashed = component.replace(/[^A-Za-z0-9-]+/g, "-").toLowerCase();
  let start = 0;
  let end = dashed.length;
  while (start < end && dashed[start] === "-") start++;
  while (end > start && dashed[end - 1] === "-") end--;
  return dashed.slice(start, end);
}

/** `<workspace>` or `<workspace>-<suffix>`. */
export function sourceOf(workspace: string, suffix: string): Named {
  const first = normalise(workspace);
  if (first === "") return empty("workspace", workspace);
  const second = normalise(suffix);
  if (suffix !== "" && second === "") return empty("web suffix", suffix);
  // RFC 5891, 4.2.3.1: browsers read xn--… as an internationalised name.
  if (first === "xn" && second === "") return refused(`the workspace name "xn" is reserved by DNS`);
  return named(second === "" ? first : `${first}-${second}`);
}

/** `<app>-<function>`, or `<app>-<class>-<method>`. */
export function labelOf(app: string, functionName: string, className?: string): Named {
  const parts = [normalise(app)];
  if (parts[0] === "") return empty("app", app);
  if (className !== undefined) {
    const normalised = normalise(className);
    if (normalised === "") return empty("class", className);
    parts.push(normalised);
  }
  const normalised = normalise(functionName);
  if (normalised === "") return empty("function", functionName);
  parts.push(normalised);
  return named(parts.join("-"));
}

/** A label that the user chose: a DNS label in lower case, as it is, or why not. */
export function checkLabel(label: string): Named {
  if (label === "") return refused("a label cannot be empty");
  const invalid = /[^a-z0-9-]/u.exec(label)?.[0];
  if (invalid !== undefined) {
    return refused(
      `the label ${JSON.stringify(label)} contains ${JSON.stringify(invalid)}: only a-z, 0-9 and dashes are allowed`,
    );
  }
  if (label.startsWith("-") || label.endsWith("-")) {
    return refused(`the label "${label}" must not begin or end with a dash`);
  }
  if (label.length > MAX_DNS_LABEL_LENGTH) {
    return refused(
      `the label "${label}" has ${label.length} characters; ${MAX_DNS_LABEL_LENGTH} are allowed`,
    );
  }
  return named(label);
}

/** What `serve` appends to a label, without its dash: short and alphanumeric. */
export function checkDevSuffix(suffix: string): Named {
  if (!/^[A-Za-z0-9]+$/.test(suffix) || suffix.length > MAX_DEV_SUFFIX_LENGTH) {
    return refused(
      `the dev suffix ${JSON.stringify(suffix)} must be 1 to ${MAX_DEV_SUFFIX_LENGTH} ASCII letters and digits`,
    );
  }
  return named(suffix.toLowerCase());
}

/** `<source>--<label>`: the endpoint's one DNS label under the base domain, cut and hashed when overlong. */
export async function endpointName(identity: EndpointIdentity): Promise<Named> {
  const source = sourceOf(identity.workspace, identity.suffix);
  if (!source.ok) return source;
  const label =
    identity.label === undefined
      ? labelOf(identity.app, identity.function, identity.class)
      : checkLabel(identity.label);
  if (!label.ok) return label;
  const name = `${source.value}--${label.value}`;
  if (identity.devSuffix === undefined) return named(await fit(name, ""));
  const suffix = checkDevSuffix(identity.devSuffix);
  return suffix.ok ? named(await fit(name, `-${suffix.value}`)) : suffix;
}

/** The endpoint's host with the base domain's port, if it has one: `<source>--<label>.<base domain>`. */
export async function endpointHost(identity: EndpointIdentity, baseDomain: string): Promise<Named> {
  const name = await endpointName(identity);
  return name.ok ? named(`${name.value}.${baseDomain}`) : name;
}

/** `https` on real domains; plain `http` where names resolve to the machine itself. */
export function publicScheme(baseDomain: string): "http" | "https" {
  return /(?:^|\.)localhost(?::\d+)?$/.test(baseDomain) ? "http" : "https";
}

/** The endpoint's URL, without a slash at its end. */
export async function endpointUrl(
  identity: EndpointIdentity,
  baseDomain: string,
  scheme: "http" | "https",
): Promise<Named> {
  const host = await endpointHost(identity, baseDomain);
  return host.ok ? named(`${scheme}://${host.value}`) : host;
}

/**
 * Cuts an overlong name so that what is left, a dash, the first 6 hex digits of the whole name's SHA-256
 * and the suffix make 63 characters.
 */
async function fit(name: string, suffix: string): Promise<string> {
  const whole = name + suffix;
  if (whole.length <= MAX_DNS_LABEL_LENGTH) return whole;
  const hash = (await sha256Hex(whole)).slice(0, HASH_DIGITS);
  const kept = name.slice(0, MAX_DNS_LABEL_LENGTH - 1 - HASH_DIGITS - suffix.length);
  return `${kept}-${hash}${suffix}`;
}

function named(value: string): Named {
  return { ok: true, value };
}

function refused(reason: string): Named {
  return { ok: false, reason };
}

function empty(what: string, given: string): Named {
  return refused(
    `the ${what} name ${JSON.stringify(given)} has no letter or digit to build a URL from`,
  );
}
