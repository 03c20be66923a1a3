import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  type Fingerprint,
  FingerprintReader,
  MAX_FINGERPRINTED_BYTES,
} from "../../../origin-gpu/calls/fingerprint.ts";

const MIB = 1024 * 1024;

function fingerprint(parts: Uint8Array[], query = ""): Fingerprint {
  const reader = new FingerprintReader(query, undefined);
  for (const part of parts) reader.push(part);
  return reader.finish();
}

/** Reads a body in parts and asks after each, as a repeated request does. */
function judge(first: Fingerprint, parts: Uint8Array[], declared: boolean) {
  const length = Buffer.concat(parts).length;
  const reader = new FingerprintReader("", declared ? length : undefined);
  let verdict = reader.judge(first, false);
  for (let index = 0; index < parts.length && verdict === "unknown"; index += 1) {
    reader.push(parts[index] as Uint8Array);
    verdict = reader.judge(first, false);
  }
  return verdict === "unknown" ? reader.judge(first, true) : verdict;
}

describe("a repeated request", () => {
  it("is the same exactly when its body is, in whatever parts it comes", () => {
    const parts = fc.array(fc.uint8Array({ maxLength: 20 }), { maxLength: 5 });
    fc.assert(
      fc.property(parts, parts, fc.boolean(), (one, other, declared) => {
        const first = fingerprint(one);
        expect(judge(first, one, declared)).toBe("same");
        const equal = Buffer.concat(one).equals(Buffer.concat(other));
        expect(judge(first, other, declared)).toBe(equal ? "same" : "different");
      }),
    );
  });

  it("is told apart by one bit", () => {
    const body = Buffer.alloc(1000, 7);
    const first = fingerprint([body]);
    const changed = Buffer.from(body);
    changed[999] = 6;
    expect(judge(first, [changed], true)).toBe("different");
  });

  it("is judged before a byte is read when it declares another length or has another query", () => {
    const first = fingerprint([Buffer.from("abc")], "?a=1");
    expect(new FingerprintReader("?a=1", 3).judge(first, false)).toBe("unknown");
    expect(new FingerprintReader("?a=1", 4).judge(first, false)).toBe("different");
    expect(new FingerprintReader("?a=2", 3).judge(first, false)).toBe("different");
  });

  it("is read no further than 64 MiB", () => {
    const part = Buffer.alloc(MIB, 1);
    const parts = Array.from({ length: MAX_FINGERPRINTED_BYTES / MIB }, () => part);
    const first = fingerprint([...parts, part]);
    expect(first.length).toBe(MAX_FINGERPRINTED_BYTES + MIB);

    const repeated = new FingerprintReader("", undefined);
    for (const each of parts.slice(1)) repeated.push(each);
    expect(repeated.judge(first, false)).toBe("unknown");
    repeated.push(part);
    expect(repeated.judge(first, false)).toBe("same");

    const other = new FingerprintReader("", undefined);
    for (const each of parts.slice(1)) other.push(each);
    other.push(Buffer.alloc(MIB, 2));
    expect(other.judge(first, false)).toBe("different");
  });

  it("compares the length also where the hash no longer counts", () => {
    const part = Buffer.alloc(MIB, 1);
    const parts = Array.from({ length: MAX_FINGERPRINTED_BYTES / MIB + 1 }, () => part);
    const first = fingerprint(parts);
    expect(first.sha256).toBe(fingerprint([...parts, part]).sha256);
    expect(judge(first, [...parts, part], true)).toBe("different");
  });
});
