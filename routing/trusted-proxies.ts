/**
 * The client's address and scheme behind the operator's own proxies. A proxy's word counts only where the connection
 * comes from a trusted address, and only as far as trusted proxies made it: the list is read from its end, and the
 * first address that is not trusted is the client's. A client can invent all that is before it. Pure.
 *
 * `X-Forwarded-For` wins over `Forwarded` (RFC 7239): most proxies write the first and pass the second on as the
 * client sent it.
 */
import { err, ok, type Result } from "../base/result.ts";

/** A block of addresses: those whose first `bits` bits are those of `address`. */
interface Block {
  readonly address: Address;
  readonly bits: number;
}

/** 4 or 16 bytes. An IPv4 address in IPv6 form (`::ffff:192.0.2.1`) has 4. */
type Address = readonly number[];

export type TrustedProxies = readonly Block[];

/** A client as trusted proxies name it. The scheme is absent where none of them does. */
export interface ProxiedClient {
  readonly address: string;
  readonly scheme?: "http" | "https";
}

/** The header fields in which proxies name their client. */
export interface ForwardedFields {
  /** `X-Forwarded-For`. */
  readonly addresses: string | null;
  /** `X-Forwarded-Proto`. */
  readonly schemes: string | null;
  /** `Forwarded`. */
  readonly forwarded: string | null;
}

/** Reads `10.0.0.0/8, fd00::/8, 192.0.2.1`; the error quotes the first part that is no address or block. */
export function parseTrustedProxies(text: string): Result<TrustedProxies, string> {
  const blocks: Block[] = [];
  for (const part of text.split(",").map((piece) => piece.trim())) {
    if (part === "") continue;
    const [, addressText = "", bitsText] = /^([^/]+)(?:\/(\d{1,3}))?$/.exec(part) ?? [];
    const address = parseAddress(addressText);
    const bits = bitsText === undefined ? (address?.length ?? 0) * 8 : Number(bitsText);
    if (address === undefined || bits > address.length * 8) return err(part);
    blocks.push({ address, bits });
  }
  return ok(blocks);
}

/** @param peer the address that the connection comes from */
export function proxiedClient(
  proxies: TrustedProxies,
  peer: string,
  { addresses, schemes, forwarded }: ForwardedFields,
): ProxiedClient {
  if (!isTrusted(proxies, peer)) return { address: peer };
  if (addresses === null && forwarded !== null)
    return ofHops(proxies, peer, parseForwarded(forwarded));
  const schemeList = split(schemes);
  const hops = split(addresses).map((address, index, all) => ({
    address,
    // One scheme for each address, or that of the nearest proxy alone.
    scheme: schemeList.length === all.length ? schemeList[index] : schemeList.at(-1),
  }));
  if (hops.length === 0) return withScheme(peer, schemeList.at(-1));
  return ofHops(proxies, peer, hops);
}

interface Hop {
  readonly address: string | undefined;
  readonly scheme: string | undefined;
}

/** Walks from the nearest hop to the client. */
function ofHops(proxies: TrustedProxies, peer: string, hops: readonly Hop[]): ProxiedClient {
  let client = withScheme(peer, undefined);
  for (const hop of hops.toReversed()) {
    const address = hop.address === undefined ? undefined : plainAddress(hop.address);
    // A name for a hidden client, or no address at all: what stands before it is nobody's word.
    if (address === undefined) break;
    client = withScheme(address, hop.scheme ?? client.scheme);
    if (!isTrusted(proxies, address)) break;
  }
  return client;
}

function withScheme(address: string, scheme: string | undefined): ProxiedClient {
  const known = scheme?.toLowerCase();
  return known === "http" || known === "https" ? { address, scheme: known } : { address };
}

/** RFC 7239, 4: elements with commas between, pairs with semicolons; values may be quoted. */
function parseForwarded(text: string): Hop[] {
  return splitOutsideQuotes(text, ",").map((element) => {
    const pairs = new Map<string, string>();
    for (const pair of splitOutsideQuotes(element, ";")) {
      const [, name = "", value = ""] = /^\s*([^=\s]+)=(.*?)\s*$/.exec(pair) ?? [];
      pairs.set(name.toLowerCase(), value.replace(/^"(.*)"$/, "$1").replace(/\\(.)/g, "$1"));
    }
    return { address: pairs.get("for"), scheme: pairs.get("proto") };
  });
}

function splitOutsideQuotes(text: string, separator: string): string[] {
  const parts: string[] = [];
  let start = 0;
  let isQuoted = false;
  for (let index = 0; index < text.length; index++) {
    if (text[index] === "\\" && isQuoted) index++;
    else if (text[index] === '"') isQuoted = !isQuoted;
    else if (text[index] === separator && !isQuoted) {
      parts.push(text.slice(start, index));
      start = index + 1;
    }
  }
  return [...parts, text.slice(start)];
}

function split(list: string | null): string[] {
  return list === null
    ? []
    : list
        .split(",")
        .map((part) => part.trim())
        .filter((part) => part !== "");
}

/** An address without the port and the brackets that proxies may write; undefined for what is none. */
function plainAddress(text: string): string | undefined {
  const [, inBrackets] = /^\[([^\]]+)\](?::\d+)?$/.exec(text) ?? [];
  const plain = inBrackets ?? (/^[\d.]+:\d+$/.test(text) ? text.slice(0, text.indexOf(":")) : text);
  return parseAddress(plain) === undefined ? undefined : plain;
}

export function isTrusted(proxies: TrustedProxies, text: string): boolean {
  if (proxies.length === 0) return false;
  const address = parseAddress(text);
  return address !== undefined && proxies.some((block) => contains(block, address));
}

function contains({ address: base, bits }: Block, address: Address): boolean {
  if (base.length !== address.length) return false;
  for (let index = 0, left = bits; left > 0; index++, left -= 8) {
    const mask = left >= 8 ? 0xff : (0xff << (8 - left)) & 0xff;
    if (((base[index] as number) & mask) !== ((address[index] as number) & mask)) return false;
  }
  return true;
}

export function parseAddress(text: string): Address | undefined {
  return text.includes(":") ? parseIpv6(text) : parseIpv4(text);
}

function parseIpv4(text: string): Address | undefined {
  const match = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text);
  if (match === null) return undefined;
  const bytes = match.slice(1).map(Number);
  return bytes.every((byte) => byte <= 255) ? bytes : undefined;
}

/** RFC 4291, 2.2, with a zone (RFC 4007, 11) cut off. */
function parseIpv6(given: string): Address | undefined {
  const [text = ""] = given.split("%", 1);
  const halves = text.split("::");
  if (halves.length > 2) return undefined;
  const [head, tail] = halves.map(bytesOfGroups);
  if (head === undefined || (halves.length === 2 && tail === undefined)) return undefined;
  const missing = 16 - head.length - (tail?.length ?? 0);
  if (halves.length === 1 ? missing !== 0 : missing < 2) return undefined;
  const bytes = [...head, ...Array.from({ length: missing }, () => 0), ...(tail ?? [])];
  const isMapped =
    bytes.slice(0, 10).every((byte) => byte === 0) && bytes[10] === 255 && bytes[11] === 255;
  return isMapped ? bytes.slice(12) : bytes;
}

/** The bytes of groups with colons between; the last may be an IPv4 address. */
function bytesOfGroups(text: string): number[] | undefined {
  if (text === "") return [];
  const bytes: number[] = [];
  const groups = text.split(":");
  for (const [index, group] of groups.entries()) {
    const ipv4 = index === groups.length - 1 ? parseIpv4(group) : undefined;
    if (ipv4 !== undefined) bytes.push(...ipv4);
    else if (/^[0-9a-f]{1,4}$/i.test(group)) {
      const value = Number.parseInt(group, 16);
      bytes.push(value >> 8, value & 0xff);
    } else return undefined;
  }
  return bytes;
}
