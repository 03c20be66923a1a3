/**
 * Builds an endpoint's name from workspace, app and function: `<source>--<label>.<base domain>`. Gateway, agent,
 * API and `postern url` all build names here, so that they cannot disagree. names-vectors.json has the same rules
 * as data, for other implementations. Pure.
 *
 * Builds names and owns none. Different inputs may meet in one name (`a_b` and `a-b`; function `b-c` of app `a` and
 * function `c` of app `a-b`), and `Names` decides which app gets it.
 */
import { err, ok, type Result } from "../base/result.ts";
import { sha256Hex } from "./sha256.ts";

/** RFC 1035, 2.3.4. */
export const MAX_DNS_LABEL_LENGTH = 63;

/** Hex digits of the hash that replaces what is cut off an overlong name. */
const HASH_DIGITS = 6;

/** A dev suffix is never cut, so it has to leave room for the name. */
const MAX_DEV_SUFFIX_LENGTH = 16;

export const DEFAULT_DEV_SUFFIX = "dev";

/** A name, or the reason why there is none, for the person who chose it. */
export type NameResult = Result<string, string>;

/** The parts that decide an endpoint's URL. */
export interface EndpointIdentity {
  workspace: string;
  /** The environment's web suffix as stored; may be empty. */
  suffix: string;
  app: string;
  function: string;
  /** The class whose method `function` is. */
  class?: string | undefined;
  /** The user's own label instead of the generated one. */
  label?: string | undefined;
  /** Of an ephemeral app, without its dash: `dev`. */
  devSuffix?: string | undefined;
}

/** App, environment and box names: 1 to 64 of ASCII letters, digits, `-`, `.` and `_`. */
export function isObjectName(name: string): boolean {
  return /^[A-Za-z0-9._-]{1,64}$/.test(name);
}

/** The web suffix that a new environment has: none for `main`, else its own name. */
export function webSuffixOf(environment: string): string {
  return environment === "main" ? "" : normalise(environment);
}

/**
 * Makes a component fit for a URL. Each run of characters other than ASCII letters, digits and dashes becomes one
 * dash, dashes at the ends go, and the rest is lower-cased. May return an empty string.
 */
export function normalise(component: string): string {
  // The replacement comes first and leaves ASCII: the Kelvin sign's lower case is a plain k.
  const dashed = component.replace(/[^A-Za-z0-9-]+/g, "-").toLowerCase();
  let start = 0;
  let end = dashed.length;
  while (start < end && dashed[start] === "-") start++;
  while (end > start && dashed[end - 1] === "-") end--;
  return dashed.slice(start, end);
}

/** `<workspace>` or `<workspace>-<suffix>`. */
export function sourceOf(workspace: string, suffix: string): NameResult {
  const first = normalise(workspace);
  if (first === "") return empty("workspace", workspace);
  const second = normalise(suffix);
  if (suffix !== "" && second === "") return empty("web suffix", suffix);
  // RFC 5891, 4.2.3.1: browsers read xn--… as an internationalised name.
  if (first === "xn" && second === "") return err(`the workspace name "xn" is reserved by DNS`);
  return ok(second === "" ? first : `${first}-${second}`);
}

/** `<app>-<function>`, or `<app>-<class>-<method>`. */
export function labelOf(app: string, functionName: string, className?: string): NameResult {
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
  return ok(parts.join("-"));
}

/** Checks a label that a user chose: a DNS label in lower case. It is refused where it is invalid, never repaired. */
export function checkLabel(label: string): NameResult {
  if (label === "") return err("a label cannot be empty");
  const invalid = /[^a-z0-9-]/u.exec(label)?.[0];
  if (invalid !== undefined) {
    return err(
      `the label ${JSON.stringify(label)} contains ${JSON.stringify(invalid)}: only a-z, 0-9 and dashes are allowed`,
    );
  }
  if (label.startsWith("-") || label.endsWith("-")) {
    return err(`the label "${label}" must not begin or end with a dash`);
  }
  if (label.length > MAX_DNS_LABEL_LENGTH) {
    return err(
      `the label "${label}" has ${label.length} characters; ${MAX_DNS_LABEL_LENGTH} are allowed`,
    );
  }
  return ok(label);
}

/** Checks what `serve` appends to a label, without its dash. */
export function checkDevSuffix(suffix: string): NameResult {
  if (!/^[A-Za-z0-9]+$/.test(suffix) || suffix.length > MAX_DEV_SUFFIX_LENGTH) {
    return err(
      `the dev suffix ${JSON.stringify(suffix)} must be 1 to ${MAX_DEV_SUFFIX_LENGTH} ASCII letters and digits`,
    );
  }
  return ok(suffix.toLowerCase());
}

/** `<source>--<label>`, the endpoint's one DNS label under the base domain; cut and hashed where it is overlong. */
export async function endpointName(identity: EndpointIdentity): Promise<NameResult> {
  const source = sourceOf(identity.workspace, identity.suffix);
  if (!source.ok) return source;
  const label =
    identity.label === undefined
      ? labelOf(identity.app, identity.function, identity.class)
      : checkLabel(identity.label);
  if (!label.ok) return label;
  const name = `${source.value}--${label.value}`;
  if (identity.devSuffix === undefined) return ok(await fit(name, ""));
  const suffix = checkDevSuffix(identity.devSuffix);
  return suffix.ok ? ok(await fit(name, `-${suffix.value}`)) : suffix;
}

/** The endpoint's host, `<source>--<label>.<base domain>`, with the base domain's port if that has one. */
export async function endpointHost(
  identity: EndpointIdentity,
  baseDomain: string,
): Promise<NameResult> {
  const name = await endpointName(identity);
  return name.ok ? ok(`${name.value}.${baseDomain}`) : name;
}

/** The scheme of public URLs: `https`, or `http` under localhost, where names resolve to the machine itself. */
export function publicScheme(baseDomain: string): "http" | "https" {
  return /(?:^|\.)localhost(?::\d+)?$/.test(baseDomain) ? "http" : "https";
}

/** The endpoint's URL, without a path. */
export async function endpointUrl(
  identity: EndpointIdentity,
  baseDomain: string,
  scheme: "http" | "https",
): Promise<NameResult> {
  const host = await endpointHost(identity, baseDomain);
  return host.ok ? ok(`${scheme}://${host.value}`) : host;
}

/**
 * Cuts an overlong name to 63 characters: the beginning of the name, a dash, the first 6 hex digits of the whole
 * name's SHA-256, and the suffix.
 */
async function fit(name: string, suffix: string): Promise<string> {
  const whole = name + suffix;
  if (whole.length <= MAX_DNS_LABEL_LENGTH) return whole;
  const hash = (await sha256Hex(whole)).slice(0, HASH_DIGITS);
  const kept = name.slice(0, MAX_DNS_LABEL_LENGTH - 1 - HASH_DIGITS - suffix.length);
  return `${kept}-${hash}${suffix}`;
}

function empty(what: string, given: string): NameResult {
  return err(
    `the ${what} name ${JSON.stringify(given)} has no letter or digit to build a URL from`,
  );
}
