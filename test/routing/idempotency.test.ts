import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Caller, parseIdempotencyKey, scopeText } from "../../routing/idempotency.ts";

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
