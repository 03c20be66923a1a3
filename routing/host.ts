/**
 * The Host header, parsed once: routing, authorization and the app all see the result. Parses the raw header and
 * never by `URL`, which repairs hosts that must be refused (`a@b` becomes `b`).
 *
 * Decides syntax and place alone; `Names` knows which endpoints exist. A host that no endpoint can have is refused
 * here, before any object is asked. Pure.
 */
import { type Err, err, ok, type Result } from "../base/result.ts";
import { MAX_DNS_LABEL_LENGTH } from "./names.ts";
import type { Refusal } from "./wire/errors.ts";

/** RFC 1035, 2.3.4, in text without the dot at the end. */
export const MAX_HOST_LENGTH = 253;

/**
 * `authority` is the canonical Host (RFC 9110, 7.2), which the app gets: in lower case, without a dot at the end,
 * and with the port that the client sent.
 */
export type ParsedHost =
  | { kind: "base"; authority: string }
  | { kind: "endpoint"; name: string; authority: string }
  /** The name is the whole host without its port. */
  | { kind: "custom"; name: string; authority: string };

/**
 * Parses the Host header. Ports are checked, then ignored, since a proxy before the gateway may listen on another
 * one.
 * @param header its raw value
 * @param baseDomain may have a port
 */
export function parseHost(header: string, baseDomain: string): Result<ParsedHost, Refusal> {
  if (header.startsWith("[")) return parseAddressLiteral(header, baseDomain);
  const colon = header.indexOf(":");
  const port = colon === -1 ? "" : header.slice(colon + 1);
  if (!isPort(port)) return malformed("its port is not a number up to 65535");

  let host = colon === -1 ? header : header.slice(0, colon);
  if (host.endsWith(".")) host = host.slice(0, -1);
  if (host.length > MAX_HOST_LENGTH) return malformed("it is too long");
  const characters = checkCharacters(host);
  if (characters !== undefined) return malformed(characters);
  // Only after the check, which leaves ASCII: the Kelvin sign's lower case is a plain k.
  host = host.toLowerCase();
  const authority = port === "" ? host : `${host}:${port}`;

  const base = withoutPort(baseDomain);
  if (host === base) return ok({ kind: "base", authority });
  const end = host.length - base.length - 1;
  if (end > 0 && host[end] === "." && host.endsWith(base)) {
    const name = host.slice(0, end);
    if (isEndpointName(name)) return ok({ kind: "endpoint", name, authority });
    return err({ code: "no_such_endpoint", detail: `${name} is not an endpoint's name` });
  }
  if (isDomainName(host)) return ok({ kind: "custom", name: host, authority });
  return wrongHost(host, baseDomain);
}

/**
 * Whether a label under the base domain can be an endpoint's: `<source>--<label>`. A name of 63 characters counts
 * without the two dashes, because a long name is cut, and the cut may remove them.
 */
function isEndpointName(name: string): boolean {
  if (!isDnsLabel(name)) return false;
  return name.includes("--") || name.length === MAX_DNS_LABEL_LENGTH;
}

/** A name that DNS could have: two labels or more, and the last one no number, as it is in 127.0.0.1. */
export function isDomainName(host: string): boolean {
  const labels = host.split(".");
  return labels.length > 1 && labels.every(isDnsLabel) && !/^\d+$/.test(labels.at(-1) ?? "");
}

/** RFC 1123, 2.1, in lower case. */
function isDnsLabel(label: string): boolean {
  return (
    label.length > 0 &&
    label.length <= MAX_DNS_LABEL_LENGTH &&
    !label.startsWith("-") &&
    !label.endsWith("-") &&
    !label.includes("_") &&
    !label.includes(".")
  );
}

/**
 * The problem with the characters of a host; undefined where there is none. A host has letters, digits, `-`, `_`, and
 * dots between labels. A comma is how two Host lines arrive.
 */
function checkCharacters(host: string): string | undefined {
  let previous = DOT;
  for (let index = 0; index < host.length; index++) {
    const code = host.charCodeAt(index);
    const lower = code | 0x20;
    const letter = lower >= 0x61 && lower <= 0x7a;
    const digit = code >= 0x30 && code <= 0x39;
    if (code === DOT && previous === DOT) return "one of its labels is empty";
    if (!letter && !digit && code !== DOT && code !== DASH && code !== UNDERSCORE) {
      return "it contains a character that no host name has";
    }
    previous = code;
  }
  return previous === DOT ? "it is empty" : undefined;
}

const DOT = 0x2e;
const DASH = 0x2d;
const UNDERSCORE = 0x5f;

/** Parses a host such as `[::1]:8787`, which can only be the base domain. */
function parseAddressLiteral(header: string, baseDomain: string): Result<ParsedHost, Refusal> {
  const match = /^(\[[0-9a-f:.]{2,45}\])(?::(\d*))?$/i.exec(header);
  const port = match?.[2] ?? "";
  if (match === null || !isPort(port)) return malformed("it is not an address");
  const host = (match[1] as string).toLowerCase();
  if (host === withoutPort(baseDomain)) {
    return ok({ kind: "base", authority: port === "" ? host : `${host}:${port}` });
  }
  return wrongHost(host, baseDomain);
}

/** The base domain in the form that hosts are compared in: lower case, no port. */
export function withoutPort(baseDomain: string): string {
  const colon = baseDomain.lastIndexOf(":");
  const host = colon > baseDomain.lastIndexOf("]") ? baseDomain.slice(0, colon) : baseDomain;
  return host.toLowerCase();
}

/** RFC 3986, 3.2.3: the port may be empty. */
function isPort(port: string): boolean {
  return port === "" || (/^\d{1,5}$/.test(port) && Number(port) <= 65_535);
}

function malformed(what: string): Err<Refusal> {
  return err({ code: "bad_request", detail: `the Host header is malformed: ${what}` });
}

/** The refusal of a host that no endpoint has: it says which hosts the gateway serves. */
export function wrongHost(host: string, baseDomain: string): Err<Refusal> {
  const right = `<workspace>--<app>-<function>.${baseDomain}`;
  return err({
    code: "wrong_host",
    detail: `${host} is not served here; endpoints are at ${right}`,
  });
}
