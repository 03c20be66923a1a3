/** DNS answers as a server writes them, for tests. */

export type TestRecord =
  | { readonly owner: string; readonly txt: readonly string[] }
  | { readonly owner: string; readonly cname: string };

/** The name and the question of a query's bytes. */
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
  const isText = "txt" in record;
  const data = isText
    ? Buffer.concat(record.txt.flatMap((text) => [Buffer.from([text.length]), Buffer.from(text)]))
    : nameBytes(record.cname);
  const fixed = Buffer.alloc(10);
  fixed.writeUInt16BE(isText ? 16 : 5, 0);
  fixed.writeUInt16BE(1, 2);
  fixed.writeUInt32BE(1, 4);
  fixed.writeUInt16BE(data.length, 8);
  return Buffer.concat([nameBytes(record.owner), fixed, data]);
}

function nameBytes(name: string): Buffer {
  const labels = name
    .split(".")
    .flatMap((label) => [Buffer.from([label.length]), Buffer.from(label)]);
  return Buffer.concat([...labels, Buffer.from([0])]);
}
