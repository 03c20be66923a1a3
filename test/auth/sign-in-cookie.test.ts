import { createHmac } from "node:crypto";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  MAX_EMAIL_CHARACTERS,
  MAX_NAME_CHARACTERS,
  MAX_SUB_CHARACTERS,
  parsePerson,
  signSignInCookie,
  verifySignInCookie,
} from "../../auth/sign-in-cookie.ts";
import { SignedClaims } from "../../auth/signed-claims.ts";

const KEY = new Uint8Array(32).fill(7);
const NOW_S = 1_800_000_000;
const HERE = {
  workspace: "ecorp",
  environment: "main",
  app: "chat",
  endpoint: "main/chat/web",
  host: "ecorp--chat-web.example.com",
  issuer: "https://id.example",
  clientId: "postern",
};
const ADA = { sub: "248289761001", email: "ada@example.com", name: "Ada" };
const ROUND = 3;
const UNTIL = { seconds: NOW_S + 60, round: ROUND };
const value = await signSignInCookie(KEY, HERE, ADA, UNTIL);

const person = async (text: string, at = HERE, seconds = NOW_S, round = ROUND) =>
  await verifySignInCookie([KEY], at, text, { seconds, round });

describe("the cookie of a person", () => {
  test("says who they are until it expires", async () => {
    expect(await person(value)).toEqual(ADA);
    expect(await person(value, HERE, NOW_S + 59.9)).toEqual(ADA);
    expect(await person(value, HERE, NOW_S + 60)).toBeUndefined();
  });

  test("is revoked by a later round, and counts where that one is not known yet", async () => {
    expect(await person(value, HERE, NOW_S, ROUND + 1)).toBeUndefined();
    expect(await person(value, HERE, NOW_S, ROUND - 1)).toEqual(ADA);
  });

  test("without a round is none", async () => {
    const claims = JSON.parse(Buffer.from(value.split(".")[1] ?? "", "base64url").toString());
    const sign = async (given: object) =>
      await new SignedClaims("postern-sign-in", 4_000).sign(given, KEY);
    expect(await person(await sign(claims), HERE, NOW_S, 0)).toEqual(ADA);
    expect(await person(await sign({ ...claims, round: undefined }), HERE, NOW_S, 0)).toBe(
      undefined,
    );
  });

  test.each(Object.keys(HERE))("says nothing at another %s", async (member) => {
    expect(await person(value, { ...HERE, [member]: "other" })).toBeUndefined();
  });

  test("is forged with any other character, and under another key", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.nat(value.length - 1),
        fc.constantFrom(..."Aa0_-.".split("")),
        async (at, by) => {
          fc.pre(value[at] !== by);
          expect(await person(value.slice(0, at) + by + value.slice(at + 1))).toBeUndefined();
        },
      ),
    );
    expect(
      await verifySignInCookie([new Uint8Array(32).fill(8)], HERE, value, {
        seconds: NOW_S,
        round: ROUND,
      }),
    ).toBeUndefined();
  });

  test("is no other kind of claims that the same key signed", async () => {
    const [, payload = ""] = value.split(".");
    const header = Buffer.from('{"alg":"HS256","typ":"postern-connect"}').toString("base64url");
    const signed = `${header}.${payload}`;
    const mac = createHmac("sha256", KEY).update(signed).digest("base64url");
    expect(await person(`${signed}.${mac}`)).toBeUndefined();
  });

  test("fits a browser's 4,096 bytes for the longest person, in any letters", async () => {
    const longest = {
      sub: "€".repeat(MAX_SUB_CHARACTERS),
      email: "€".repeat(MAX_EMAIL_CHARACTERS),
      name: "€".repeat(MAX_NAME_CHARACTERS),
    };
    const cookie = await signSignInCookie(KEY, HERE, longest, UNTIL);
    expect(cookie.length).toBeLessThan(4_000);
    expect(await person(cookie)).toEqual(longest);
  });
});

describe("a person", () => {
  test.each([
    ["without a sub", { ...ADA, sub: undefined }],
    ["with an empty sub", { ...ADA, sub: "" }],
    ["with a long sub", { ...ADA, sub: "a".repeat(MAX_SUB_CHARACTERS + 1) }],
    ["without an address", { ...ADA, email: undefined }],
    ["with a number for an address", { ...ADA, email: 7 }],
    ["with a long address", { ...ADA, email: "a".repeat(MAX_EMAIL_CHARACTERS + 1) }],
  ])("%s is none", (_what, claims) => {
    expect(parsePerson(claims)).toBeUndefined();
  });

  test("with a name that is too long has none", () => {
    const name = "a".repeat(MAX_NAME_CHARACTERS + 1);
    expect(parsePerson({ ...ADA, name })).toEqual({ sub: ADA.sub, email: ADA.email });
  });
});
