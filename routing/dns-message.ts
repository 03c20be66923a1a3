/**
 * The DNS messages that custom domains need (RFC 1035, 4), in the form that DNS over HTTPS carries: a question for a
 * name's texts or addresses, and its answer. Pure. An answer is a stranger's: each read is checked, and compression
 * cannot loop.
 */
import { err, ok, type Result } from "../base/result.ts";

export type RecordType = "A" | "TXT" | "AAAA";

export type DnsAnswer =
  /**
   * One for each record: an address in its usual spelling, or a text's strings, joined. None: the name has no record of
   * this type, or is not there.
   */
  | { readonly kind: "values"; readonly values: readonly string[] }
  /** The server could not find out. */
  | { readonly kind: "failure"; readonly rcode: number };

const HEADER_BYTES = 12;
const TYPE_CNAME = 5;
/** RFC 1035, 3.2.2, and RFC 3596, 2.1. */
const TYPES: Readonly<Record<RecordType, number>> = { A: 1, TXT: 16, AAAA: 28 };
const CLASS_IN = 1;
const NXDOMAIN = 3;

/** Recursion desired. The id is 0, so that equal questions are equal requests (RFC 8484, 4.1). */
const QUESTION_FLAGS = 0x0100;
const IS_ANSWER = 0x8000;
const IS_TRUNCATED = 0x0200;

/** Aliases on the way to a record. */
const MAX_ALIASES = 8;

/** Resource records of one answer that are looked at. */
const MAX_RECORDS = 256;

/** RFC 1035, 2.3.4: with the lengths of its labels and the root. */
const MAX_NAME_BYTES = 255;

/** The question for a name's records. @param name an ASCII name that DNS can have */
export function dnsQuestion(name: string, type: RecordType): Uint8Array<ArrayBuffer> {
  const labels = name.split(".");
  const bytes = new Uint8Array(HEADER_BYTES + name.length + 2 + 4);
  const view = new DataView(bytes.buffer);
  view.setUint16(2, QUESTION_FLAGS);
  view.setUint16(4, 1);
  let at = HEADER_BYTES;
  for (const label of labels) {
    bytes[at++] = label.length;
    for (let index = 0; index < label.length; index++) bytes[at++] = label.charCodeAt(index);
  }
  view.setUint16(at + 1, TYPES[type]);
  view.setUint16(at + 3, CLASS_IN);
  return bytes;
}

/** The answer to the question for a name's records; an error for bytes that are no such answer. */
export function parseDnsAnswer(
  bytes: Uint8Array,
  name: string,
  type: RecordType,
): Result<DnsAnswer, string> {
  try {
    return read(new Reader(bytes), name.toLowerCase(), type);
  } catch (error) {
    if (error instanceof Malformed) return err(error.message);
    throw error;
  }
}

interface Found {
  readonly aliases: Map<string, string>;
  readonly values: Map<string, string[]>;
}

function read(reader: Reader, asked: string, wanted: RecordType): Result<DnsAnswer, string> {
  reader.skip(2);
  const flags = reader.uint16();
  const questions = reader.uint16();
  const answers = reader.uint16();
  reader.skip(4);
  if ((flags & IS_ANSWER) === 0) return err("it is a question");
  if (questions !== 1) return err("it has not the one question");
  const question = reader.name();
  const type = reader.uint16();
  const isAsked = type === TYPES[wanted] && reader.uint16() === CLASS_IN && question === asked;
  if (!isAsked) return err("it answers another question");
  const rcode = flags & 0xf;
  if (rcode !== 0 && rcode !== NXDOMAIN) return ok({ kind: "failure", rcode });
  if ((flags & IS_TRUNCATED) !== 0) return err("it is truncated");
  if (answers > MAX_RECORDS) return err("it has too many records");
  const found = readRecords(reader, answers, wanted);
  let owner = asked;
  for (let step = 0; step <= MAX_ALIASES; step++) {
    const values = found.values.get(owner);
    if (values !== undefined) return ok({ kind: "values", values });
    const alias = found.aliases.get(owner);
    if (alias === undefined) return ok({ kind: "values", values: [] });
    owner = alias;
  }
  return err("it has too many aliases");
}

function readRecords(reader: Reader, count: number, wanted: RecordType): Found {
  const found: Found = { aliases: new Map(), values: new Map() };
  for (let index = 0; index < count; index++) {
    const owner = reader.name();
    const type = reader.uint16();
    const inInternet = reader.uint16() === CLASS_IN;
    reader.skip(4);
    const end = reader.uint16() + reader.at;
    if (inInternet && type === TYPE_CNAME) found.aliases.set(owner, reader.name());
    if (inInternet && type === TYPES[wanted]) {
      const values = found.values.get(owner) ?? [];
      values.push(wanted === "TXT" ? reader.strings(end) : reader.address(wanted, end));
      found.values.set(owner, values);
    }
    reader.moveTo(end);
  }
  return found;
}

class Malformed extends Error {}

class Reader {
  readonly #bytes: Uint8Array;
  at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  uint8(): number {
    const byte = this.#bytes[this.at++];
    if (byte === undefined) throw new Malformed("it breaks off");
    return byte;
  }

  uint16(): number {
    return this.uint8() * 256 + this.uint8();
  }

  skip(count: number): void {
    this.moveTo(this.at + count);
  }

  /** Nothing of a record may lie behind its end. */
  moveTo(end: number): void {
    if (end < this.at || end > this.#bytes.length) throw new Malformed("a length in it is wrong");
    this.at = end;
  }

  /** A name in lower case (RFC 1035, 4.1.4). A pointer must point before itself, so that each one shortens the way. */
  name(): string {
    const labels: string[] = [];
    let length = 1;
    let end: number | undefined;
    for (;;) {
      const start = this.at;
      const octet = this.uint8();
      if (octet === 0) break;
      if (octet >= 0xc0) {
        const target = (octet & 0x3f) * 256 + this.uint8();
        if (target >= start) throw new Malformed("a name in it points onwards");
        end ??= this.at;
        this.at = target;
        continue;
      }
      if (octet > 63) throw new Malformed("a label in it has an unknown form");
      length += octet + 1;
      if (length > MAX_NAME_BYTES) throw new Malformed("a name in it is too long");
      labels.push(this.#text(octet).toLowerCase());
    }
    if (end !== undefined) this.at = end;
    return labels.join(".");
  }

  /** Character strings up to an end, joined (RFC 1035, 3.3.14). */
  strings(end: number): string {
    let text = "";
    while (this.at < end) text += this.#text(this.uint8());
    return text;
  }

  /** An address up to an end. */
  address(type: "A" | "AAAA", end: number): string {
    const parts: string[] = [];
    while (this.at < end) {
      parts.push(type === "A" ? String(this.uint8()) : this.uint16().toString(16));
    }
    if (parts.length !== (type === "A" ? 4 : 8)) throw new Malformed("an address in it is none");
    // A URL has an address of IPv6 in its shortest spelling (RFC 5952).
    return type === "A"
      ? parts.join(".")
      : new URL(`http://[${parts.join(":")}]`).hostname.slice(1, -1);
  }

  /** One character for each byte: what is looked for is ASCII. */
  #text(length: number): string {
    const start = this.at;
    this.skip(length);
    let text = "";
    for (let index = start; index < this.at; index++) {
      text += String.fromCharCode(this.#bytes[index] as number);
    }
    return text;
  }
}
