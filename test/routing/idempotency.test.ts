import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  callerOf,
  type IdempotencyCaller,
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

  it("has up to 255 characters, quotes not counted", () => {
    for (const key of ["x".repeat(254), "x".repeat(255), '"'.repeat(255)]) {
      expect(parseIdempotencyKey([quoted(key)])).toEqual({ kind: "key", key });
    }
    expect(parseIdempotencyKey(["x".repeat(255)]).kind).toBe("key");
    expect(parseIdempotencyKey(["x".repeat(256)]).kind).toBe("malformed");
    expect(parseIdempotencyKey([quoted("x".repeat(256))]).kind).toBe("malformed");
  });

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

describe("the caller under a key", () => {
  const ADDRESS = "192.0.2.7";
  const caller = (headers: Record<string, string>, address = ADDRESS, isNamedByProxy = false) =>
    JSON.stringify(callerOf(new Map(Object.entries(headers)), { address, isNamedByProxy }));

  it.each([
    "authorization",
    "cookie",
    "x-api-key",
    "api-key",
    "x-auth-token",
    "x-access-token",
    "x-goog-api-key",
    "ocp-apim-subscription-key",
    "x-functions-key",
    "mcp-session-id",
    "modal-key",
    "modal-secret",
    "postern-key",
    "postern-secret",
    "x-user-id",
    "x-auth-request-email",
    "x-amzn-oidc-identity",
    "x-tenant-id",
    "client-cert",
    "x-amzn-mtls-clientcert",
    "x-ssl-client-dn",
    "x-client-cert-subject",
    "x-authentik-username",
    "x-authentik-uid",
    "openai-organization",
  ])("is told from others by %s", (name) => {
    expect(caller({ [name]: "alice" })).not.toBe(caller({ [name]: "bob" }));
    expect(caller({ [name]: "alice" })).not.toBe(caller({}));
    // Who has it may come from elsewhere, as a phone does.
    expect(caller({ [name]: "alice" })).toBe(caller({ [name]: "alice" }, "198.51.100.1"));
  });

  it("is told from others by one header among several", () => {
    const shared = { "x-api-key": "the page's", "user-agent": "curl" };
    const alice = { ...shared, cookie: "session=alice" };
    expect(caller(alice)).not.toBe(caller({ ...shared, cookie: "session=bob" }));
    expect(caller(alice)).not.toBe(caller(shared));
  });

  it.each(["idempotency-key", "user-agent", "accept", "x-request-id", "content-type"])(
    "is not told from others by %s",
    (name) => {
      expect(caller({ [name]: "a" })).toBe(caller({ [name]: "b" }));
    },
  );

  it("without anything that identifies it is its address", () => {
    expect(caller({}, "192.0.2.1")).not.toBe(caller({}, "192.0.2.2"));
  });

  it.each([
    ["x-forwarded-for", "203.0.113.5", "203.0.113.6"],
    ["x-real-ip", "203.0.113.5", "203.0.113.6"],
    ["forwarded", "for=203.0.113.5;proto=https", "for=203.0.113.6;proto=https"],
  ])("behind a proxy is whom %s names", (name, one, other) => {
    expect(caller({ [name]: one }, "127.0.0.1")).not.toBe(caller({ [name]: other }, "127.0.0.1"));
  });

  it("behind a proxy cannot pass for another: the proxy adds the real address", () => {
    const victim = caller({ "x-forwarded-for": "203.0.113.5" }, "127.0.0.1");
    const forged = caller({ "x-forwarded-for": "203.0.113.5, 203.0.113.6" }, "127.0.0.1");
    expect(forged).not.toBe(victim);
    // And past the proxy the connection's own address tells them apart.
    expect(caller({ "x-forwarded-for": "203.0.113.5" }, "203.0.113.6")).not.toBe(victim);
  });

  it.each([
    ["x-forwarded-for", "203.0.113.5:4711", "203.0.113.5:4712"],
    ["x-forwarded-for", "[2001:db8::1]:4711", "[2001:db8::1]:4712"],
    ["forwarded", 'for="[2001:db8::1]:4711"', 'for="[2001:db8::1]:4712"'],
  ])("is the same over another connection, where %s names ports", (name, one, other) => {
    expect(caller({ [name]: one })).toBe(caller({ [name]: other }));
  });

  it("is the address that a trusted proxy names, over whichever of its proxies", () => {
    const one = { "x-forwarded-for": "203.0.113.5, 10.0.0.1" };
    const other = { "x-forwarded-for": "203.0.113.5, 10.0.0.2" };
    expect(caller(one, "203.0.113.5", true)).toBe(caller(other, "203.0.113.5", true));
    expect(caller(one, "203.0.113.5", true)).not.toBe(caller(one, "203.0.113.6", true));
  });

  it("does not depend on the order of the headers", () => {
    const one = callerOf(
      new Map([
        ["cookie", "a"],
        ["x-api-key", "b"],
      ]),
      { address: ADDRESS, isNamedByProxy: false },
    );
    const other = callerOf(
      new Map([
        ["x-api-key", "b"],
        ["cookie", "a"],
      ]),
      { address: ADDRESS, isNamedByProxy: false },
    );
    expect(one).toEqual(other);
  });
});

describe("the scope of a key", () => {
  const callers: fc.Arbitrary<IdempotencyCaller> = fc.oneof(
    fc.record({ identity: fc.array(fc.string()) }),
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

  it("differs when text moves from one part to the next, and between an identity and an address", () => {
    const scope = {
      endpoint: "a",
      method: "POST",
      path: "/b",
      caller: { identity: ["c"] },
      key: "d",
    };
    const moved = { ...scope, path: "/", caller: { identity: ["bc"] } };
    expect(scopeText(moved)).not.toBe(scopeText(scope));
    const address = { ...scope, caller: { address: "c" } };
    expect(scopeText(address)).not.toBe(scopeText(scope));
  });
});
