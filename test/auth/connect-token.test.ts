import { createHmac } from "node:crypto";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  type ConnectClaims,
  signConnectToken,
  verifyConnectToken,
} from "../../auth/connect-token.ts";
import { SignedClaims } from "../../auth/signed-claims.ts";

const KEY = new Uint8Array(32).fill(7);
const NOW_S = 1_800_000_000;

const HERE = {
  workspace: "ecorp",
  environment: "main",
  app: "chat",
  endpoint: "main/chat/web",
};
const CLAIMS: ConnectClaims = { ...HERE, userData: '{"user":"ada"}', expiresAtS: NOW_S + 60 };
const token = await signConnectToken(CLAIMS, KEY);

const verdict = async (text: string, at = HERE, nowS = NOW_S) =>
  await verifyConnectToken(text, [KEY], at, nowS);

const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");

/** A token with any header and payload, rightly signed as far as HMAC goes. */
function handMade(header: unknown, payload: unknown, key = KEY): string {
  const signed = `${encode(header)}.${encode(payload)}`;
  return `pct-${signed}.${createHmac("sha256", key).update(signed).digest("base64url")}`;
}

const HEADER = { alg: "HS256", typ: "postern-connect" };
const PAYLOAD = { ...HERE, userData: "", exp: NOW_S + 60 };

describe("a connect token", () => {
  test("opens its endpoint until it expires, and tells what its maker said", async () => {
    expect(await verdict(token)).toEqual({ kind: "allowed", claims: CLAIMS });
    expect(await verdict(token, HERE, NOW_S + 59.9)).toMatchObject({ kind: "allowed" });
    expect(await verdict(token, HERE, NOW_S + 60)).toEqual({ kind: "invalid" });
  });

  test.each([
    ["workspace", { workspace: "other" }, "invalid"],
    ["environment", { environment: "dev" }, "elsewhere"],
    ["app", { app: "voice" }, "elsewhere"],
    ["function", { endpoint: "main/chat/admin" }, "elsewhere"],
  ])("opens no endpoint of another %s", async (_what, other, kind) => {
    expect(await verdict(token, { ...HERE, ...other })).toEqual({ kind });
  });

  test("is what a hand would make, and nothing else that is signed", async () => {
    expect(await verdict(handMade(HEADER, PAYLOAD))).toMatchObject({ kind: "allowed" });
    const other = new SignedClaims("postern-result", 4_000);
    for (const wrong of [
      handMade({ ...HEADER, alg: "none" }, PAYLOAD),
      handMade({ ...HEADER, alg: "HS512" }, PAYLOAD),
      handMade({ ...HEADER, typ: "postern-result" }, PAYLOAD),
      handMade({ typ: HEADER.typ, alg: HEADER.alg }, PAYLOAD),
      handMade({ ...HEADER, crit: ["exp"] }, PAYLOAD),
      handMade(HEADER, PAYLOAD, new Uint8Array(32)),
      handMade(HEADER, { ...PAYLOAD, exp: "9999999999" }),
      handMade(HEADER, { ...PAYLOAD, exp: undefined }),
      handMade(HEADER, { ...PAYLOAD, exp: 1e300 }),
      handMade(HEADER, { ...PAYLOAD, userData: "a\r\nx-admin: 1" }),
      handMade(HEADER, { ...PAYLOAD, userData: "x".repeat(512) }),
      handMade(HEADER, { ...PAYLOAD, endpoint: ["main/chat/web"] }),
      `pct-${await other.sign(PAYLOAD, KEY)}`,
      `pct-${encode({ alg: "none", typ: HEADER.typ })}.${encode(PAYLOAD)}.`,
      token.slice("pct-".length),
      token.toUpperCase(),
      `${token}=`,
      `${token} `,
      `${token}.`,
      "pct-",
      "",
    ]) {
      expect(await verdict(wrong), wrong).toEqual({ kind: "invalid" });
    }
  });

  test("has one spelling: none that is a character away is valid", async () => {
    const position = fc.nat({ max: token.length - 1 });
    const character = fc.constantFrom(...Array.from("ABCabc019-_.=+/ "));
    await fc.assert(
      fc.asyncProperty(position, character, async (at, changed) => {
        fc.pre(token[at] !== changed);
        const other = token.slice(0, at) + changed + token.slice(at + 1);
        expect(await verdict(other)).toEqual({ kind: "invalid" });
      }),
    );
  });

  test("is judged whatever it is", async () => {
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: "binary" }), async (text) => {
        expect(await verdict(`pct-${text}`)).toEqual({ kind: "invalid" });
      }),
    );
  });

  test.each(["a\nb", " a", "a ", "\u0000", "\ud800", "x".repeat(512), "\u007f"])(
    "is not made with user data that is no header's value: %j",
    async (userData) => {
      await expect(signConnectToken({ ...CLAIMS, userData }, KEY)).rejects.toThrow(RangeError);
    },
  );

  test("fits into a cookie with as much user data as Modal allows, or is not made", async () => {
    for (const userData of ["x".repeat(511), "é".repeat(511), "日".repeat(511)]) {
      const long = await signConnectToken({ ...CLAIMS, userData }, KEY);
      expect(`_postern_connect_token=${long}`.length).toBeLessThan(4_096);
      expect(await verdict(long)).toMatchObject({ claims: { userData } });
    }
    const endpoint = "x".repeat(640);
    const names = { environment: endpoint, app: endpoint, endpoint };
    const userData = "日".repeat(511);
    await expect(signConnectToken({ ...CLAIMS, ...names, userData }, KEY)).rejects.toThrow(
      RangeError,
    );
  });
});
