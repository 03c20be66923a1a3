import { randomBytes } from "node:crypto";
import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { deriveGatewayKeys } from "../../auth/keys.ts";
import {
  TOKEN_RANDOM_BYTES,
  type TokenKind,
  digestOf,
  firstApiToken,
  isOurId,
  mintToken,
  sameDigest,
  workspaceOfApiToken,
} from "../../auth/tokens.ts";

const keys = await deriveGatewayKeys(Buffer.alloc(32, 7).toString("base64url"));
const otherKeys = await deriveGatewayKeys(Buffer.alloc(32, 8).toString("base64url"));

const kind = fc.constantFrom<TokenKind>("proxy", "api");
const workspace = fc.stringMatching(/^[A-Za-z0-9._-]{1,64}$/);
const random = fc.uint8Array({ minLength: TOKEN_RANDOM_BYTES, maxLength: TOKEN_RANDOM_BYTES });

describe("a minted token", () => {
  test("is recognised by the gateway that made it, in its workspace and for its kind alone", async () => {
    await fc.assert(
      fc.asyncProperty(kind, workspace, workspace, random, async (kind, own, other, bytes) => {
        const { id } = await mintToken(keys, kind, own, bytes);
        expect(await isOurId(keys, kind, own, id)).toBe(true);
        expect(await isOurId(otherKeys, kind, own, id)).toBe(false);
        expect(await isOurId(keys, kind === "api" ? "proxy" : "api", own, id)).toBe(false);
        expect(await isOurId(keys, kind, other, id)).toBe(own === other);
      }),
    );
  });

  test("has one spelling: any other character anywhere makes it forged", async () => {
    await fc.assert(
      fc.asyncProperty(
        kind,
        workspace,
        random,
        fc.nat(),
        fc.string({ unit: "binary", minLength: 0, maxLength: 2 }),
        async (kind, own, bytes, place, put) => {
          const { id } = await mintToken(keys, kind, own, bytes);
          const at = place % id.length;
          const changed = id.slice(0, at) + put + id.slice(at + 1);
          expect(await isOurId(keys, kind, own, changed)).toBe(changed === id);
        },
      ),
    );
  });

  test.each(["upper case", "a blank behind", "padding", "a line break", "a full-width character"])(
    "is refused with %s",
    async (variant) => {
      const { id } = await mintToken(keys, "proxy", "local", randomBytes(TOKEN_RANDOM_BYTES));
      const spelling = {
        "upper case": id.toUpperCase(),
        "a blank behind": `${id} `,
        padding: `${id}=`,
        "a line break": `${id}\n`,
        "a full-width character": `w\uff4b${id.slice(2)}`,
      }[variant] as string;
      expect(await isOurId(keys, "proxy", "local", spelling)).toBe(false);
    },
  );

  test("says its workspace when it is an API token, whatever that name is", async () => {
    await fc.assert(
      fc.asyncProperty(workspace, random, async (own, bytes) => {
        const { id } = await mintToken(keys, "api", own, bytes);
        expect(workspaceOfApiToken(id)).toBe(own);
      }),
    );
  });

  test("shows 80 random bits in the id and 160 in the secret", async () => {
    const { id, secret } = await mintToken(keys, "proxy", "local", randomBytes(TOKEN_RANDOM_BYTES));
    expect(id).toMatch(/^wk-[a-z2-7]{26}$/);
    expect(secret).toMatch(/^ws-[a-z2-7]{32}$/);
  });

  test("needs exactly its random bytes", async () => {
    await expect(mintToken(keys, "proxy", "local", new Uint8Array(47))).rejects.toThrow(RangeError);
  });
});

describe("a digest", () => {
  test("belongs to one id and one secret", async () => {
    const random = () => randomBytes(TOKEN_RANDOM_BYTES);
    const one = await mintToken(keys, "proxy", "local", random());
    const two = await mintToken(keys, "proxy", "local", random());
    expect(sameDigest(one.digest, await digestOf(one))).toBe(true);
    expect(sameDigest(one.digest, await digestOf({ ...one, secret: two.secret }))).toBe(false);
    expect(sameDigest(one.digest, await digestOf({ ...one, id: two.id }))).toBe(false);
  });

  test("of another length is another digest", () => {
    expect(sameDigest(new ArrayBuffer(32), new ArrayBuffer(31))).toBe(false);
    expect(sameDigest(new ArrayBuffer(31), new ArrayBuffer(32))).toBe(false);
    expect(sameDigest(new ArrayBuffer(32), new ArrayBuffer(32))).toBe(true);
  });
});

describe("the first API token", () => {
  test("is the same for the same key and workspace, and another for any other", async () => {
    const first = await firstApiToken(keys, "local");
    expect(await firstApiToken(keys, "local")).toEqual(first);
    expect(await isOurId(keys, "api", "local", first.id)).toBe(true);
    expect((await firstApiToken(keys, "local2")).secret).not.toBe(first.secret);
    expect((await firstApiToken(otherKeys, "local")).secret).not.toBe(first.secret);
  });
});

describe("the gateway's key", () => {
  test.each([
    ["31 bytes", Buffer.alloc(31).toString("base64url")],
    ["padded", Buffer.alloc(32).toString("base64")],
    ["unused bits set", `${"A".repeat(42)}B`],
    ["empty", ""],
    ["a line break behind", `${Buffer.alloc(32).toString("base64url")}\n`],
  ])("is refused when it is %s", async (_what, secret) => {
    await expect(deriveGatewayKeys(secret)).rejects.toThrow(TypeError);
  });
});
