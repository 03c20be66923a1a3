/**
 * The Host header, read once: what it parses to is what routing, auth and the app see. Works on the raw
 * header and never through `URL`, which repairs what must be refused (`a@b` becomes `b`).
 *
 * Decides syntax and place alone. Whether an endpoint of that name exists is for `Names` to say, and
 * what cannot be a name is refused here, before anybody is asked.
 */
import { MAX_DNS_LABEL_LENGTH } from "./names.ts";

/** RFC 1035, 2.3.4, in text without the dot at the end. */
const MAX_HOST_LENGTH = 253;

/**
 * `authority` is the canonical Host (RFC 9110, 7.2): in lower case, without a dot at the end, the port
 * as the client sent it. It is the Host that the app gets.
 */
export type ParsedHost =
  | { kind: "base"; authority: string }
  | { kind: "endpoint"; name: string; authority: string }
  | { kind: "custom"; host: string; authority: string }
  | { kind: "refused"; code: "bad_request" | "wrong_host" | "no_such_endpoint"; detail: string };

/**
 * `header` is the Host header's raw value; `baseDomain` may carry a port. Ports are checked, then
 * ignored: a proxy before the gateway may listen on another one.
 */
export function parseHost(header: string, baseDomain: string): ParsedHost {
  if (header.startsWith("[")) return parseAddressLiteral(header, baseDomain);
  const colon = header.indexOf(":");
  const port = colon === -1 ? "" : header.slice(colon + 1);
  if (!isPort(port)) return malformed("its port is not a number up to 65535");

  let host = colon === -1 ? header : header.slice(0, colon);
  if (host.endsWith(".")) host = host.slice(0, -1);
  if (host.length > MAX_HOST_LENGTH) return malformed("it is too long");
  const characters = checkCharacters(host);
  if (characters !== undefined) return malformed(characters);
  // After the check: only ASCII has one lower case; the Kelvin sign's is a plain k.
  host = host.toLowerCase();
  const authority = port === "" ? host : `${host}:${port}`;

  const base = withoutPort(baseDomain);
  if (host === base) return { kind: "base", authority };
  const end = host.length - base.length - 1;
  if (end > 0 && host[end] === "." && host.endsWith(base)) {
    const name = host.slice(0, end);
    if (isEndpointName(name)) return { kind: "endpoint", name, authority };
    return {
      kind: "refused",
      code: "no_such_endpoint",
      detail: `${name} is not an endpoint's name`,
    };
  }
  if (isCustomDomain(host)) return { kind: "custom", host, authority };
  return { kind: "refused", code: "wrong_host", detail: `${host} is not served here` };
}

/**
 * Whether a label under the base domain can be an endpoint's: `<source>--<label>`, or one of exactly 63
 * characters, since cutting a name with a long source may take the two dashes away.
 */
function isEndpointName(name: string): boolean {
  if (!isDnsLabel(name)) return false;
  return name.includes("--") || name.length === MAX_DNS_LABEL_LENGTH;
}

/** A name that DNS could know: at least two labels, the last one not a number as in 127.0.0.1. */
function isCustomDomain(host: string): boolean {
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
 * Letters, digits, `-`, `_` and dots between labels; anything else has no business in a Host of HTTP
 * over DNS, least of all a comma, which is how two Host lines arrive. Returns what is wrong.
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

/** `[::1]:8787`, which is at most the base domain itself. */
function parseAddressLiteral(header: string, baseDomain: string): ParsedHost {
  const match = /^(\[[0-9a-f:.]{2,45}\])(?::(\d*))?$/i.exec(header);
  const port = match?.[2] ?? "";
  if (match === null || !isPort(port)) return malformed("it is not an address");
  const host = (match[1] as string).toLowerCase();
  if (host === withoutPort(baseDomain)) {
    return { kind: "base", authority: port === "" ? host : `${host}:${port}` };
  }
  return { kind: "refused", code: "wrong_host", detail: `${host} is not served here` };
}

/** The base domain as hosts are compared with it: in lower case, without a port. */
function withoutPort(baseDomain: string): string {
  const colon = baseDomain.lastIndexOf(":");
  const host = colon > baseDomain.lastIndexOf("]") ? baseDomain.slice(0, colon) : baseDomain;
  return host.toLowerCase();
}

/** RFC 3986, 3.2.3: the port may be empty. */
function isPort(port: string): boolean {
  return port === "" || (/^\d{1,5}$/.test(port) && Number(port) <= 65_535);
}

function malformed(what: string): ParsedHost {
  return { kind: "refused", code: "bad_request", detail: `the Host header is malformed: ${what}` };
}
