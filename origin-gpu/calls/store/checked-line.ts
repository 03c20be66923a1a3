/** A line of JSON with its CRC-32 before it, in eight hex digits and a space. So one flipped bit of it is mended. */
import { crc32 } from "node:zlib";
import { differInOneBit, mendFlippedBit } from "../../../base/node/bit-repair.ts";

/** Eight digits and a space. */
const PREFIX_BYTES = 9;

/** The line, with its newline. */
export function checkedLine(json: string): string {
  return `${prefixOf(json)}${json}\n`;
}

/** The JSON of a line without its newline; undefined where the checksum is of another content. */
export function readCheckedLine(line: Buffer): Buffer | undefined {
  const json = line.subarray(PREFIX_BYTES);
  return line.toString("latin1", 0, PREFIX_BYTES) === prefixOf(json) ? json : undefined;
}

/** The JSON of a damaged line, where one flipped bit is what damaged it. */
export function mendCheckedLine(line: Buffer): Buffer | undefined {
  const prefix = line.subarray(0, PREFIX_BYTES);
  const json = Buffer.from(line.subarray(PREFIX_BYTES));
  if (differInOneBit(prefix, Buffer.from(prefixOf(json)))) return json;
  const text = prefix.toString("latin1");
  if (!/^[0-9a-f]{8} $/.test(text)) return undefined;
  return mendFlippedBit(json, Number.parseInt(text, 16)) === undefined ? undefined : json;
}

function prefixOf(json: string | Uint8Array): string {
  return `${crc32(json).toString(16).padStart(8, "0")} `;
}
