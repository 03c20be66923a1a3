import { createHmac } from "node:crypto";
import fc from "fast-check";
import { CompactSign, compactVerify } from "jose";
import { describe, expect, it } from "vitest";
import {
  isOpenedAt,
  type ResultClaims,
  signResultToken,
  verifyResultToken,
} from "../../auth/result-token.ts";

const KEY = new Uint8Array(32).fill(7);
const OTHER_KEY = new Uint8Array(32).fill(8);
const NOW_S = 1_800_000_000;

const CLAIMS: ResultClaims = {
  callId: "0f3a9c",
  endpoint: "main/demo/echo",
  appId: "ap-0123456789abcdef0123456789",
  workspace: "ecorp",
  box: "gpu-1",
  isHead: false,
  hop: 3,
  expiresAtS: NOW_S + 60,
};

const forged = { kind: "forged" };
const name = fc.stringMatching(/^[\x21\x23-\x5b\x5d-\x7e]{1,64}$/);
const endpointName = fc.stringMatching(/^[\x21\x23-\x5b\x5d-\x7e]{1,640}$/);
const claimsArbitrary: fc.Arbitrary<ResultClaims> = fc.record({
  callId: name,
  endpoint: endpointName,
  appId: name,
  workspace: name,
  box: name,
  isHead: fc.boolean(),
  hop: fc.nat({ max: 9999 }),
  expiresAtS: fc.nat(),
});

function encode(text: string): string {
  return Buffer.from(text).toString("base64url");
}

/** A token with any header and payload that is rightly signed, as far as HMAC goes. */
function handMade(header: unknown, payload: unknown, key = KEY): string {
  const signed = `${encode(JSON.stringify(header))}.${encode(JSON.stringify(payload))}`;
  return `${signed}.${createHmac("sha256", key).update(signed).digest("base64url")}`;
}

const HEADER = { alg: "HS256", typ: "postern-result" };
const PAYLOAD = {
  callId: "c",
  endpoint: "e",
  appId: "a",
  workspace: "w",
  box: "b",
  hop: 0,
  exp: NOW_S + 60,
};

describe("a result token", () => {
  it("says what it was made of, until it expires", async () => {
    await fc.assert(
      fc.asyncProperty(claimsArbitrary, fc.nat(), async (claims, nowS) => {
        const token = await signResultToken(claims, KEY);
        expect(token.length).toBeLessThanOrEqual(1792);
        expect(token).toMatch(/^[\w.-]+$/);
        const kind = nowS < claims.expiresAtS ? "valid" : "expired";
        expect(await verifyResultToken(token, [KEY], nowS)).toEqual({ kind, claims });
      }),
    );
  });

  it("expires at its second, not before", async () => {
    const token = await signResultToken(CLAIMS, KEY);
    expect((await verifyResultToken(token, [KEY], NOW_S + 59)).kind).toBe("valid");
    expect((await verifyResultToken(token, [KEY], NOW_S + 60)).kind).toBe("expired");
  });

  it("differs from hop to hop", async () => {
    const tokens = await Promise.all(
      Array.from({ length: 20 }, (_, hop) => signResultToken({ ...CLAIMS, hop }, KEY)),
    );
    expect(new Set(tokens).size).toBe(20);
  });

  it("is a JWS that anybody with the key can check, and carries the claims alone", async () => {
    const wide = { ...CLAIMS, secret: "s" };
    const { payload, protectedHeader } = await compactVerify(await signResultToken(wide, KEY), KEY);
    expect(protectedHeader).toEqual(HEADER);
    expect(JSON.parse(Buffer.from(payload).toString())).toEqual({
      callId: CLAIMS.callId,
      endpoint: CLAIMS.endpoint,
      appId: CLAIMS.appId,
      workspace: CLAIMS.workspace,
      box: CLAIMS.box,
      hop: CLAIMS.hop,
      exp: CLAIMS.expiresAtS,
    });
  });

  it("takes an imported key", async () => {
    const algorithm = { name: "HMAC", hash: "SHA-256" };
    const key = await crypto.subtle.importKey("raw", KEY, algorithm, false, ["sign", "verify"]);
    const token = await signResultToken(CLAIMS, key);
    expect((await verifyResultToken(token, [KEY], NOW_S)).kind).toBe("valid");
    expect((await verifyResultToken(token, [key], NOW_S)).kind).toBe("valid");
  });

  it("is not made of claims that could not be read back", async () => {
    const wrong: Partial<ResultClaims>[] = [
      { callId: "" },
      { box: "x".repeat(65) },
      { appId: "x".repeat(65) },
      { endpoint: "x".repeat(641) },
      { endpoint: "a b" },
      { endpoint: 'a"b' },
      { hop: -1 },
      { hop: 1.5 },
      { expiresAtS: Number.NaN },
    ];
    for (const part of wrong) {
      await expect(signResultToken({ ...CLAIMS, ...part }, KEY)).rejects.toThrow(RangeError);
    }
  });
});

describe("the longest names that an app may have", () => {
  it("make a token that is read back", async () => {
    const endpoint = ["e".repeat(64), "a".repeat(64), "C".repeat(128), "f".repeat(128)].join("/");
    const claims = { ...CLAIMS, endpoint, workspace: "w".repeat(64), box: "b".repeat(64) };
    const token = await signResultToken(claims, KEY);
    expect(await verifyResultToken(token, [KEY], NOW_S)).toEqual({ kind: "valid", claims });
  });
});

describe("a token of one endpoint", () => {
  it("opens its call there, and at no endpoint that reads alike", () => {
    const { workspace, appId, endpoint } = CLAIMS;
    expect(isOpenedAt(CLAIMS, { workspace, appId, endpoint })).toBe(true);
    expect(isOpenedAt(CLAIMS, { workspace: "bob", appId, endpoint })).toBe(false);
    expect(isOpenedAt(CLAIMS, { workspace, appId: "ap-other", endpoint })).toBe(false);
    expect(isOpenedAt(CLAIMS, { workspace, appId, endpoint: "main/demo/other" })).toBe(false);
  });
});

describe("a token that is not ours", () => {
  it("is refused when any one character is another, missing or added", async () => {
    const token = await signResultToken(CLAIMS, KEY);
    const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=+/ \n%\0é";
    const position = fc.nat({ max: token.length - 1 });
    await fc.assert(
      fc.asyncProperty(position, fc.constantFrom(...alphabet.split("")), async (at, character) => {
        const [before, after] = [token.slice(0, at), token.slice(at)];
        const changed = [
          before + character + after.slice(1),
          before + character + after,
          before + after.slice(1),
        ];
        for (const candidate of changed.filter((text) => text !== token)) {
          expect(await verifyResultToken(candidate, [KEY], NOW_S)).toEqual(forged);
        }
      }),
      { numRuns: 500 },
    );
  });

  it("is refused in every spelling of the signature but one", async () => {
    const token = await signResultToken(CLAIMS, KEY);
    const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    // 32 bytes in 43 characters leave two bits of the last one unused.
    const last = alphabet.indexOf(token.at(-1) as string);
    expect(last % 4).toBe(0);
    const respelled = [1, 2, 3].map((bits) => token.slice(0, -1) + alphabet[last + bits]);
    respelled.push(
      `${token}=`,
      `${token}==`,
      ` ${token}`,
      `${token} `,
      `${token}\n`,
      token.replace(".", " ."),
    );
    respelled.push(
      `${token}.`,
      `.${token}`,
      token.replaceAll("_", "/").replaceAll("-", "+").concat("="),
    );
    for (const candidate of respelled) {
      expect(await verifyResultToken(candidate, [KEY], NOW_S), candidate).toEqual(forged);
    }
  });

  it("is refused with no algorithm, another algorithm or another key", async () => {
    const valid = handMade(HEADER, PAYLOAD);
    expect((await verifyResultToken(valid, [KEY], NOW_S)).kind).toBe("valid");
    const [, payload = "", signature = ""] = valid.split(".");
    const hs512 = await new CompactSign(Buffer.from(JSON.stringify(PAYLOAD)))
      .setProtectedHeader({ ...HEADER, alg: "HS512" })
      .sign(new Uint8Array(64).fill(7));
    const candidates = [
      `${encode('{"alg":"none"}')}.${payload}.`,
      `${encode('{"alg":"none","typ":"postern-result"}')}.${payload}.${signature}`,
      hs512,
      handMade(HEADER, PAYLOAD, OTHER_KEY),
      handMade({ ...HEADER, kid: "1" }, PAYLOAD),
      handMade({ ...HEADER, crit: ["b64"], b64: false }, PAYLOAD),
      handMade({ alg: "HS256" }, PAYLOAD),
      handMade({ alg: "HS256", typ: "JWT" }, PAYLOAD),
      handMade({ typ: "postern-result", alg: "HS256" }, PAYLOAD),
    ];
    for (const candidate of candidates) {
      expect(await verifyResultToken(candidate, [KEY], NOW_S), candidate).toEqual(forged);
    }
  });

  it("is refused when it is rightly signed and says something else", async () => {
    const { callId: _callId, ...withoutCall } = PAYLOAD;
    const { appId: _appId, ...withoutApp } = PAYLOAD;
    const payloads: unknown[] = [
      withoutCall,
      withoutApp,
      null,
      [],
      "text",
      { ...PAYLOAD, callId: 7 },
      { ...PAYLOAD, callId: "a\nb" },
      { ...PAYLOAD, box: "x".repeat(65) },
      { ...PAYLOAD, hop: -1 },
      { ...PAYLOAD, hop: 10_000 },
      { ...PAYLOAD, exp: "1900000000" },
      { ...PAYLOAD, exp: 1e300 },
    ];
    for (const payload of payloads) {
      expect(await verifyResultToken(handMade(HEADER, payload), [KEY], NOW_S)).toEqual(forged);
    }
  });

  it("is refused unread when it is too long", async () => {
    const padded = handMade(HEADER, { ...PAYLOAD, padding: "x".repeat(2000) });
    expect(await verifyResultToken(padded, [KEY], NOW_S)).toEqual(forged);
    const huge = "a".repeat(10_000_000);
    const startedAt = performance.now();
    expect(await verifyResultToken(huge, [KEY], NOW_S)).toEqual(forged);
    expect(performance.now() - startedAt).toBeLessThan(1_000);
  });

  it("is refused whatever it is", async () => {
    const part = fc.oneof(
      fc.base64String(),
      fc.string(),
      fc.constant(encode(JSON.stringify(HEADER))),
    );
    const texts = fc.array(part, { maxLength: 5 }).map((parts) => parts.join("."));
    await fc.assert(
      fc.asyncProperty(texts, async (text) => {
        expect(await verifyResultToken(text, [KEY], NOW_S)).toEqual(forged);
      }),
    );
  });
});
