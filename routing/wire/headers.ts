/**
 * Header hygiene: the part that both directions share, and the direction from the app to the client. No other file
 * decides which headers leave an app. routing/headers.ts is the other direction.
 *
 * Header lists are flat: name, value, name, value. Names are in lower case. Values are text, in UTF-8 on the wire.
 */
import { filterHeaders } from "../../base/headers.ts";
import { MAX_HEADER_BYTES } from "./limits.ts";

/** Bytes of a header line besides name and value: `: ` and CR LF. */
export const HEADER_LINE_OVERHEAD_BYTES = 4;

/**
 * Meant for the next hop alone (RFC 9110, 7.6.1; RFC 9112, 6 and 7), and names that go the same way:
 * TE and Trailer, because trailers end at the gateway, and Keep-Alive and Proxy-Connection, which
 * predate the rule. Fields that Connection names go with them.
 */
export const HOP_BY_HOP: ReadonlySet<string> = new Set([
  "connection",
  "keep-alive",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
  // RFC 9110, 11.7: between a client and its proxy.
  "proxy-authenticate",
  "proxy-authentication-info",
  "proxy-authorization",
  // RFC 6455, 11.3: every hop makes its own handshake and extensions; the subprotocol alone is end to end,
  // and an app's refusal may name the versions that it speaks (RFC 6455, 4.4).
  "sec-websocket-accept",
  "sec-websocket-extensions",
  "sec-websocket-key",
]);

/** Names with this prefix have a meaning between client and gateway, or inside: neither client nor app sets them. */
export const INTERNAL_PREFIX = "postern-";

/** Fields that an app may not set, besides hop-by-hop ones. */
const NOT_FROM_AN_APP: ReadonlySet<string> = new Set([
  // RFC 7838: another server for this origin, past the gateway and its authorization.
  "alt-svc",
  // The gateway's own, which the app has been given and often sends back.
  "x-request-id",
]);

/** Whether a line of this name, in lower case, goes from an app to the client. */
export function mayLeaveApp(name: string): boolean {
  return !(HOP_BY_HOP.has(name) || NOT_FROM_AN_APP.has(name) || name.startsWith(INTERNAL_PREFIX));
}

/** A header list that cannot be passed on, with what is wrong; values are never quoted. */
export interface InvalidHeaders {
  refused: "origin_error";
  detail: string;
}

/** A value as it came: text in Latin-1, or bytes such as Node's Buffer. */
export type RawHeaderText = string | { toString(encoding: "latin1"): string };

/**
 * An app's header lines as they go to the client. Bytes that are UTF-8 are read as such, others as Latin-1. Several
 * Set-Cookie stay several; other lines of one name are joined (RFC 9110, 5.2 and 5.3).
 */
export function responseHeaders(raw: readonly RawHeaderText[]): string[] | InvalidHeaders {
  const headers: string[] = [];
  const positions = new Map<string, number>();
  const dropped = new Set<string>();
  let bytes = 0;
  for (let index = 0; index + 1 < raw.length; index += 2) {
    const name = latin1(raw[index] as RawHeaderText).toLowerCase();
    const bytesOfValue = latin1(raw[index + 1] as RawHeaderText);
    bytes += name.length + bytesOfValue.length + HEADER_LINE_OVERHEAD_BYTES;
    if (bytes > MAX_HEADER_BYTES) {
      return invalid(`the app's headers are larger than ${MAX_HEADER_BYTES} bytes`);
    }
    if (!isToken(name)) return invalid("a header name of the app is not valid");
    const value = decode(bytesOfValue);
    if (hasControlCharacter(value)) {
      return invalid(`the app's header ${name} contains a control character`);
    }
    if (name === "connection") addConnectionOptions(value, dropped);
    if (!mayLeaveApp(name)) continue;
    const before = positions.get(name);
    if (before === undefined) {
      if (name !== "set-cookie") positions.set(name, headers.length);
      headers.push(name, value);
    } else if (name === "content-length") {
      // RFC 9110, 8.6: repeated, it is one. RFC 9112, 6.3: two lengths are two opinions on where a body ends.
      if (headers[before + 1] !== value) return invalid("the app declared two lengths of its body");
    } else {
      headers[before + 1] += `, ${value}`;
    }
  }
  return dropped.size === 0 ? headers : without(headers, dropped);
}

/**
 * Adds the fields that a Connection header names, in lower case; none for the usual `keep-alive`, `close`
 * and `upgrade`. Content-Length frames the body and Host chose the endpoint: neither can be named away.
 */
export function addConnectionOptions(value: string, options: Set<string>): void {
  for (const part of value.split(",")) {
    const option = part.trim().toLowerCase();
    if (option !== "" && !NOT_FIELDS.has(option)) options.add(option);
  }
}

const NOT_FIELDS: ReadonlySet<string> = new Set([
  "close",
  "keep-alive",
  "upgrade",
  "content-length",
  "host",
]);

/** A header list without the fields of these names. */
export function without(headers: readonly string[], names: ReadonlySet<string>): string[] {
  return filterHeaders(headers, (name) => !names.has(name));
}

/** RFC 9110, 5.5: no field value has one, the tab excepted. */
export function hasControlCharacter(value: string): boolean {
  for (let index = 0; index < value.length; index++) {
    const code = value.charCodeAt(index);
    if ((code < 0x20 && code !== 0x09) || code === 0x7f) return true;
  }
  return false;
}

/** RFC 9110, 5.6.2. */
function isToken(name: string): boolean {
  return /^[!#$%&'*+.^_`|~0-9a-z-]+$/i.test(name);
}

function latin1(raw: RawHeaderText): string {
  return typeof raw === "string" ? raw : raw.toString("latin1");
}

/** Keeps a byte order mark, which is part of the value. */
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Text from bytes that stand as Latin-1: UTF-8 where they are that, else Latin-1 as they stand. */
function decode(bytes: string): string {
  if (/^\p{ASCII}*$/u.test(bytes)) return bytes;
  try {
    return utf8.decode(Uint8Array.from(bytes, (character) => character.charCodeAt(0)));
  } catch {
    return bytes;
  }
}

function invalid(detail: string): InvalidHeaders {
  return { refused: "origin_error", detail };
}
