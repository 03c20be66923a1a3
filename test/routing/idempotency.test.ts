import { createHash } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  type Caller,
  type Fingerprint,
  fingerprintedPart,
  judgeRepeated,
  MAX_FINGERPRINTED_BYTES,
  parseIdempotencyKey,
  scopeText,
} from "../../routing/idempotency.ts";

const visible = fc.stringMatching(/^[\x21-\x7e]{1,255}$/);

/** A structured-field string (RFC 9651, 4.1.6). */
function quoted(key: string): string {
  return `"${key.replaceAll(/["\\]/g, String.raw`\$&`)}"`;
}

describe("the Idempotency-Key header", () => {
  it("is absent when no line has it", () => {
    expect(parseIdempotencyKey([])).toEqual({ kind: "none" });
  });

  it.each(['"8e03978e-40d5-43dd-bc93-6894a57f9324"', "8e03978e-40d5-43dd-bc93-6894a57f9324"])(
    "is the same key quoted and bare: %s",
    (line) => {
      expect(parseIdempotencyKey([line])).toEqual({
        kind: "key",
        key: "8e03978e-40d5-43dd-bc93-6894a57f9324",
      });
    },
  );

  it("gives back every key that was quoted as RFC 9651 says", () => {
    fc.assert(
      fc.property(visible, (key) => {
        expect(parseIdempotencyKey([` ${quoted(key)}\t`])).toEqual({ kind: "key", key });
      }),
    );
  });

  it.each([
    ["an empty value", [""]],
    ["an empty string", ['""']],
    ["an unfinished string", ['"a']],
    ["a lone quote", ['"']],
    ["an unknown escape", [String.raw`"a\b"`]],
    ["an escaped end", [String.raw`"a\"`]],
    ["a parameter", ['"a";b=1']],
    ["two values in a line", ['"a", "b"']],
    ["two bare values in a line", ["a,b"]],
    ["two lines", ["a", "a"]],
    ["a space", ["a b"]],
    ["a quoted space", ['"a b"']],
    ["a control character", ["a\u0001"]],
    ["a letter outside ASCII", ["schlüssel"]],
    ["256 characters", ["x".repeat(256)]],
    ["256 quoted characters", [`"${"x".repeat(256)}"`]],
  ])("is refused with %s", (_what, lines) => {
    expect(parseIdempotencyKey(lines).kind).toBe("malformed");
  });

  it("is a visible key or refused, whatever a client sends", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 300 }), (line) => {
        const parsed = parseIdempotencyKey([line]);
        if (parsed.kind === "key") expect(parsed.key).toMatch(/^[\x21-\x7e]{1,255}$/);
        else expect(parsed.kind).toBe("malformed");
      }),
    );
  });

  it("is not taken apart when it is far too long", () => {
    const startedAt = performance.now();
    for (const line of [`"${String.raw`\\`.repeat(30_000)}`, `x${" ".repeat(65_000)}x`]) {
      expect(parseIdempotencyKey([line]).kind).toBe("malformed");
    }
    expect(performance.now() - startedAt).toBeLessThan(500);
  });
});

describe("the scope of a key", () => {
  const callers: fc.Arbitrary<Caller> = fc.oneof(
    fc.record({ credential: fc.string() }),
    fc.record({ address: fc.string() }),
  );
  const scopes = fc.record({
    endpoint: fc.string(),
    method: fc.string(),
    path: fc.string(),
    caller: callers,
    key: fc.string(),
  });

  it("is the same for the same request and for no other", () => {
    fc.assert(
      fc.property(scopes, scopes, (one, other) => {
        expect(scopeText(one)).toBe(scopeText(structuredClone(one)));
        const same = JSON.stringify(one) === JSON.stringify(other);
        expect(scopeText(one) === scopeText(other)).toBe(same);
      }),
    );
  });

  it("differs when text moves from one part to the next, and between a credential and an address", () => {
    const scope = {
      endpoint: "a",
      method: "POST",
      path: "/b",
      caller: { credential: "c" },
      key: "d",
    };
    const moved = { ...scope, path: "/", caller: { credential: "bc" } };
    expect(scopeText(moved)).not.toBe(scopeText(scope));
    const address = { ...scope, caller: { address: "c" } };
    expect(scopeText(address)).not.toBe(scopeText(scope));
  });
});

describe("a repeated request", () => {
  const hash = (body: Uint8Array) => createHash("sha256").update(body).digest("hex");
  const fingerprint = (body: Uint8Array, query = ""): Fingerprint => ({
    query,
    length: body.length,
    sha256: hash(body),
  });
  const neverAsked = () => {
    throw new Error("the hash was asked for too early");
  };

  /** Reads a body in parts and asks after each, as a joiner does. */
  function judge(first: Fingerprint, parts: Uint8Array[], declared: boolean) {
    const body = Buffer.concat(parts);
    const reading = {
      query: "",
      declaredLength: declared ? body.length : undefined,
      readBytes: 0,
      ended: false,
    };
    let verdict = judgeRepeated(first, reading, neverAsked);
    for (let index = 0; index < parts.length && verdict === "unknown"; index += 1) {
      reading.readBytes += (parts[index] as Uint8Array).length;
      verdict = judgeRepeated(first, reading, neverAsked);
    }
    if (verdict !== "unknown") return verdict;
    return judgeRepeated(first, { ...reading, ended: true }, () => hash(body));
  }

  it("joins exactly when its body is the first one's, in whatever parts it comes", () => {
    const part = fc.uint8Array({ maxLength: 20 });
    const parts = fc.array(part, { maxLength: 5 });
    fc.assert(
      fc.property(parts, parts, fc.boolean(), (one, other, declared) => {
        const first = fingerprint(Buffer.concat(one));
        expect(judge(first, one, declared)).toBe("same");
        const equal = Buffer.concat(one).equals(Buffer.concat(other));
        expect(judge(first, other, declared)).toBe(equal ? "same" : "different");
      }),
    );
  });

  it("is refused before a byte is read when it declares another length or has another query", () => {
    const first = fingerprint(Buffer.from("abc"), "?a=1");
    const reading = { query: "?a=1", declaredLength: 3, readBytes: 0, ended: false };
    expect(judgeRepeated(first, reading, neverAsked)).toBe("unknown");
    expect(judgeRepeated(first, { ...reading, declaredLength: 4 }, neverAsked)).toBe("different");
    expect(judgeRepeated(first, { ...reading, query: "?a=2" }, neverAsked)).toBe("different");
  });

  it("is read no further than 64 MiB", () => {
    const first = { query: "", length: 5 * MAX_FINGERPRINTED_BYTES, sha256: "ab" };
    const reading = { query: "", declaredLength: undefined, ended: false };
    const below = { ...reading, readBytes: MAX_FINGERPRINTED_BYTES - 1 };
    expect(judgeRepeated(first, below, neverAsked)).toBe("unknown");
    const at = { ...reading, readBytes: MAX_FINGERPRINTED_BYTES };
    expect(judgeRepeated(first, at, () => "ab")).toBe("same");
    expect(judgeRepeated(first, at, () => "cd")).toBe("different");
  });

  it("hashes only what counts", () => {
    expect(fingerprintedPart(0, 10)).toBe(10);
    expect(fingerprintedPart(MAX_FINGERPRINTED_BYTES - 4, 10)).toBe(4);
    expect(fingerprintedPart(MAX_FINGERPRINTED_BYTES + 4, 10)).toBe(0);
  });
});
