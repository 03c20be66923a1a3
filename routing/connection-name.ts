/**
 * One name for a TCP connection by the address and port of its client, whether workerd tells them as text or the
 * Linux kernel in /proc/net/tcp. IPv4 clients of a dual-stack socket have their IPv4 address in it.
 */
import { parseAddress } from "./trusted-proxies.ts";

const IPV4_BYTES = 4;
const HEX_DIGITS_OF_A_WORD = 8;

/** @param clientIp workerd's `cf.clientIp`: `192.0.2.1:443` or `[2001:db8::1]:443` */
export function connectionName(clientIp: string): string {
  if (!clientIp.startsWith("[")) return clientIp;
  const end = clientIp.lastIndexOf("]");
  const address = parseAddress(clientIp.slice(1, end));
  return address === undefined ? clientIp : nameOf(address, clientIp.slice(end + 2));
}

/** @param text an address with its port as /proc/net/tcp and tcp6 have them: words in the machine's byte order */
export function kernelConnectionName(text: string): string {
  const [words = "", port = ""] = text.split(":");
  const bytes: number[] = [];
  for (let start = 0; start < words.length; start += HEX_DIGITS_OF_A_WORD) {
    const word = words.slice(start, start + HEX_DIGITS_OF_A_WORD);
    // Node and workerd run on little-endian machines alone.
    for (let at = HEX_DIGITS_OF_A_WORD - 2; at >= 0; at -= 2) {
      bytes.push(Number.parseInt(word.slice(at, at + 2), 16));
    }
  }
  const isMapped = bytes.length > IPV4_BYTES && bytes.slice(0, 10).every((byte) => byte === 0);
  const isIpv4 = isMapped && bytes[10] === 0xff && bytes[11] === 0xff;
  return nameOf(isIpv4 ? bytes.slice(12) : bytes, `${Number.parseInt(port, 16)}`);
}

/** IPv4 clients of a dual-stack socket appear as `::ffff:192.0.2.1`; returns `192.0.2.1`. Others stay as they are. */
export function unmappedAddress(address: string): string {
  return address.startsWith("::ffff:") && address.includes(".")
    ? address.slice("::ffff:".length)
    : address;
}

function nameOf(address: readonly number[], port: string): string {
  const text =
    address.length === IPV4_BYTES
      ? address.join(".")
      : address.map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return `${text}:${port}`;
}
