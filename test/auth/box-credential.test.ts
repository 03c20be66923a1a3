import fc from "fast-check";
import { base64url, CompactSign, decodeJwt, decodeProtectedHeader, SignJWT } from "jose";
import { beforeAll, describe, expect, it } from "vitest";
import {
  BOX_CREDENTIAL_LIFETIME_S,
  type BoxEnrolment,
  type BoxIdentity,
  CLOCK_SKEW_S,
  deriveBoxKey,
  mintBoxCredential,
  verifyBoxCredential,
} from "../../auth/box-credential.ts";
import { deriveGatewayKeys, type GatewayKeys } from "../../auth/keys.ts";

const NOW_S = 1_800_000_000;
const AUDIENCE = "gpu.example.com";
const GPU_1: BoxIdentity = { workspace: "ecorp", box: "gpu-1", serial: "5e71a1" };

let keys: GatewayKeys;
let otherKeys: GatewayKeys;
beforeAll(async () => {
  keys = await deriveGatewayKeys(base64url.encode(new Uint8Array(32).fill(1)));
  otherKeys = await deriveGatewayKeys(base64url.encode(new Uint8Array(32).fill(2)));
});

async function enrolled(identity: BoxIdentity, by = keys): Promise<BoxEnrolment> {
  return { ...identity, key: await deriveBoxKey(by, identity), audience: AUDIENCE };
}

async function verify(credential: string, nowS = NOW_S) {
  return await verifyBoxCredential(keys, credential, AUDIENCE, nowS);
}

/** Signed by the box itself, whatever it says. */
async function signed(
  claims: Record<string, unknown>,
  { typ = "postern-box", key }: { typ?: string; key?: string } = {},
): Promise<string> {
  return await new SignJWT({ ...GPU_1, aud: AUDIENCE, iat: NOW_S, exp: NOW_S + 60, ...claims })
    .setProtectedHeader({ alg: "HS256", typ })
    .sign(base64url.decode(key ?? (await deriveBoxKey(keys, GPU_1))));
}

const name = fc.stringMatching(/^[A-Za-z0-9._-]{1,64}$/);
const identities: fc.Arbitrary<BoxIdentity> = fc.record({
  workspace: name,
  box: name,
  serial: fc.stringMatching(/^[0-9a-f]{1,64}$/),
});

describe("a box's key", () => {
  it("is 32 bytes, and another one for each workspace, box, serial and gateway", async () => {
    const others = [{ workspace: "e" }, { box: "gpu-2" }, { serial: "5e71a2" }];
    const derived = await Promise.all([
      deriveBoxKey(keys, GPU_1),
      deriveBoxKey(otherKeys, GPU_1),
      ...others.map((part) => deriveBoxKey(keys, { ...GPU_1, ...part })),
    ]);
    expect(new Set(derived).size).toBe(derived.length);
    for (const key of derived) expect(base64url.decode(key)).toHaveLength(32);
    expect(await deriveBoxKey(keys, { ...GPU_1 })).toBe(derived[0]);
  });
});

describe("a box's credential", () => {
  it("proves the enrolment that it was made for, for a minute and the clocks' difference", async () => {
    const offset = fc.integer({ min: -600, max: 600 });
    await fc.assert(
      fc.asyncProperty(identities, offset, async (identity, offsetS) => {
        const credential = await mintBoxCredential(await enrolled(identity), NOW_S - offsetS);
        const lives =
          offsetS >= -CLOCK_SKEW_S && offsetS < BOX_CREDENTIAL_LIFETIME_S + CLOCK_SKEW_S;
        expect(await verify(credential)).toEqual(
          lives ? { kind: "valid", identity } : { kind: "clock", aheadS: -offsetS },
        );
      }),
    );
  });

  it("says nothing but who, for whom and until when", async () => {
    const credential = await mintBoxCredential(await enrolled(GPU_1), NOW_S + 0.9);
    expect(decodeProtectedHeader(credential)).toEqual({ alg: "HS256", typ: "postern-box" });
    expect(decodeJwt(credential)).toEqual({
      ...GPU_1,
      aud: AUDIENCE,
      iat: NOW_S,
      exp: NOW_S + 60,
    });
  });

  it("for another gateway is told apart", async () => {
    const enrolment = { ...(await enrolled(GPU_1)), audience: "other.example.com" };
    expect(await verify(await mintBoxCredential(enrolment, NOW_S))).toEqual({ kind: "elsewhere" });
  });

  it("cannot live longer than a minute, whatever the box signs", async () => {
    const old = await signed({ iat: NOW_S - 3_600, exp: NOW_S + 3_600 });
    expect(await verify(old)).toEqual({ kind: "clock", aheadS: -3_600 });
    const ahead = await signed({ iat: NOW_S + 3_600, exp: NOW_S + 7_200 });
    expect(await verify(ahead)).toEqual({ kind: "clock", aheadS: 3_600 });
  });
});

describe("a credential that is not ours", () => {
  const forged = { kind: "forged" };

  it("is refused when it was signed with another key", async () => {
    const byOtherGateway = await mintBoxCredential(await enrolled(GPU_1, otherKeys), NOW_S);
    const { key } = await enrolled({ ...GPU_1, box: "gpu-2" });
    const byOtherBox = await mintBoxCredential({ ...(await enrolled(GPU_1)), key }, NOW_S);
    for (const credential of [byOtherGateway, byOtherBox]) {
      expect(await verify(credential)).toEqual(forged);
    }
  });

  it("is refused with a wrong signature before its time or audience are looked at", async () => {
    const key = base64url.encode(new Uint8Array(32));
    expect(await verify(await signed({ iat: 0, exp: 60 }, { key }))).toEqual(forged);
    expect(await verify(await signed({ aud: "other" }, { key }))).toEqual(forged);
  });

  it("is refused with no algorithm, another algorithm or another type", async () => {
    const [, payload = "", signature = ""] = (await signed({})).split(".");
    const none = base64url.encode('{"alg":"none","typ":"postern-box"}');
    const hs512 = await new CompactSign(base64url.decode(payload))
      .setProtectedHeader({ alg: "HS512", typ: "postern-box" })
      .sign(new Uint8Array(64).fill(1));
    const candidates = [
      `${none}.${payload}.`,
      `${none}.${payload}.${signature}`,
      hs512,
      await signed({}, { typ: "postern-result" }),
    ];
    for (const candidate of candidates) expect(await verify(candidate)).toEqual(forged);
  });

  it.each([
    ["no workspace", { workspace: undefined }],
    ["a box that is no name", { box: "a/b" }],
    ["a box with a name too long", { box: "x".repeat(65) }],
    ["no serial", { serial: "" }],
    ["a serial spelt otherwise", { serial: "5E71A1" }],
    ["no time", { iat: undefined }],
    ["a time that is none", { iat: "now" }],
    ["nobody it is for", { aud: undefined }],
  ])("is refused when it is rightly signed and has %s", async (_what, claims) => {
    expect((await verify(await signed(claims))).kind).not.toBe("valid");
  });

  it("is refused when any one character is another", async () => {
    const credential = await mintBoxCredential(await enrolled(GPU_1), NOW_S);
    const position = fc.nat({ max: credential.length - 1 });
    const characters = fc.constantFrom(
      "A",
      "z",
      "0",
      "-",
      "_",
      ".",
      "=",
      "+",
      "/",
      " ",
      "\n",
      "\0",
      "é",
    );
    await fc.assert(
      fc.asyncProperty(position, characters, async (at, character) => {
        fc.pre(credential[at] !== character);
        // The last character of a signature has two bits that say nothing.
        fc.pre(at < credential.length - 1);
        const changed = credential.slice(0, at) + character + credential.slice(at + 1);
        expect((await verify(changed)).kind).not.toBe("valid");
      }),
      { numRuns: 500 },
    );
  });

  it("is refused, and nothing is thrown, whatever it is", async () => {
    const part = fc.oneof(fc.base64String(), fc.string());
    const texts = fc.array(part, { maxLength: 5 }).map((parts) => parts.join("."));
    await fc.assert(
      fc.asyncProperty(texts, async (text) => {
        expect(await verify(text)).toEqual(forged);
      }),
    );
    expect(await verify("a".repeat(10_000_000))).toEqual(forged);
  });
});
