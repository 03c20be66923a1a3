/** DNS answers as a server writes them, for tests. */

export type TestRecord =
  | { readonly owner: string; readonly txt: readonly string[] }
  /** An address: its bytes. */
  | { readonly owner: string; readonly a: readonly number[] }
  | { readonly owner: string; readonly aaaa: readonly number[] }
  | { readonly owner: string; readonly cname: string };

/** The type of the records that a query's bytes ask for, as DNS numbers it. */
export function askedType(query: Uint8Array): number {
  return Buffer.from(query).readUInt16BE(query.length - 4);
}

/** The name that a query's bytes ask for. */
export function askedName(query: Uint8Array): string {
  const labels: string[] = [];
  let at = 12;
  for (let length = query[at] ?? 0; length > 0; length = query[at] ?? 0) {
    labels.push(Buffer.from(query.subarray(at + 1, at + 1 + length)).toString("latin1"));
    at += length + 1;
  }
  return labels.join(".");
}

/** An answer to a query. @param rcode 0: no error; 3: no such name */
export function dnsAnswer(
  query: Uint8Array,
  records: readonly TestRecord[],
  rcode = 0,
): Uint8Array {
  const header = Buffer.from(query.subarray(0, 12));
  header.writeUInt16BE(0x8180 | rcode, 2);
  header.writeUInt16BE(records.length, 6);
  return Buffer.concat([header, query.subarray(12), ...records.map(recordBytes)]);
}

function recordBytes(record: TestRecord): Buffer {
  const [type, data] = dataOf(record);
  const fixed = Buffer.alloc(10);
  fixed.writeUInt16BE(type, 0);
  fixed.writeUInt16BE(1, 2);
  fixed.writeUInt32BE(1, 4);
  fixed.writeUInt16BE(data.length, 8);
  return Buffer.concat([nameBytes(record.owner), fixed, data]);
}

function dataOf(record: TestRecord): [type: number, data: Buffer] {
  if ("a" in record) return [1, Buffer.from(record.a)];
  if ("aaaa" in record) return [28, Buffer.from(record.aaaa)];
  if ("cname" in record) return [5, nameBytes(record.cname)];
  const strings = record.txt.flatMap((text) => [Buffer.from([text.length]), Buffer.from(text)]);
  return [16, Buffer.concat(strings)];
}

function nameBytes(name: string): Buffer {
  const labels = name
    .split(".")
    .flatMap((label) => [Buffer.from([label.length]), Buffer.from(label)]);
  return Buffer.concat([...labels, Buffer.from([0])]);
}
