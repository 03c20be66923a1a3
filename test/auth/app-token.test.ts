import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { mintAppToken, mintCallToken, verifyAppToken } from "../../auth/app-token.ts";
import { deriveGatewayKeys } from "../../auth/keys.ts";

const keys = await deriveGatewayKeys(Buffer.alloc(32, 7).toString("base64url"));
const otherKeys = await deriveGatewayKeys(Buffer.alloc(32, 8).toString("base64url"));

const app = fc.record({
  workspace: fc.stringMatching(/^[A-Za-z0-9._-]{1,64}$/),
  id: fc.stringMatching(/^ap-[0-9a-f]{26}$/),
});

const NOW_S = 1_800_000_000;

describe("an app token", () => {
  test("opens its own app alone, at the gateway that made it", async () => {
    await fc.assert(
      fc.asyncProperty(app, app, async (own, other) => {
        const token = await mintAppToken(keys, own);
        expect(await verifyAppToken(keys, token, own, NOW_S)).toBe("allowed");
        expect(await verifyAppToken(otherKeys, token, own, NOW_S)).toBe("invalid");
        const neighbour = { workspace: own.workspace, id: other.id };
        const sameApp = own.id === other.id;
        expect(await verifyAppToken(keys, token, neighbour, NOW_S)).toBe(
          sameApp ? "allowed" : "forbidden",
        );
        const sameWorkspace = own.workspace === other.workspace;
        const elsewhere = await verifyAppToken(keys, token, { ...other, id: own.id }, NOW_S);
        expect(elsewhere).toBe(sameWorkspace ? "allowed" : "invalid");
      }),
    );
  });

  test("has one spelling: any other character anywhere makes it forged", async () => {
    const change = fc.string({ unit: "binary", minLength: 0, maxLength: 2 });
    await fc.assert(
      fc.asyncProperty(app, fc.nat(), change, async (own, place, put) => {
        const token = await mintAppToken(keys, own);
        const at = place % token.length;
        const changed = token.slice(0, at) + put + token.slice(at + 1);
        const expected = changed === token ? "allowed" : "invalid";
        expect(await verifyAppToken(keys, changed, own, NOW_S)).toBe(expected);
      }),
    );
  });

  test.each(["", "pat-", "shop"])("is not made for %j, which is no app's id", async (id) => {
    await expect(mintAppToken(keys, { workspace: "local", id })).rejects.toThrow(RangeError);
  });
});

describe("a call token", () => {
  test("opens what its app's token opens, until it expires", async () => {
    await fc.assert(
      fc.asyncProperty(app, app, fc.integer({ min: 1, max: 10_000 }), async (own, other, left) => {
        const token = await mintCallToken(keys, own, NOW_S + left);
        expect(await verifyAppToken(keys, token, own, NOW_S)).toBe("allowed");
        expect(await verifyAppToken(keys, token, own, NOW_S + left)).toBe("invalid");
        expect(await verifyAppToken(otherKeys, token, own, NOW_S)).toBe("invalid");
        const neighbour = { workspace: own.workspace, id: other.id };
        const verdict = own.id === other.id ? "allowed" : "forbidden";
        expect(await verifyAppToken(keys, token, neighbour, NOW_S)).toBe(verdict);
      }),
    );
  });

  test("has one spelling: its expiry can't be moved, nor written in another way", async () => {
    const change = fc.string({ unit: "binary", minLength: 0, maxLength: 2 });
    await fc.assert(
      fc.asyncProperty(app, fc.nat(), change, async (own, place, put) => {
        const token = await mintCallToken(keys, own, NOW_S + 60);
        const at = place % token.length;
        const changed = token.slice(0, at) + put + token.slice(at + 1);
        const expected = changed === token ? "allowed" : "invalid";
        expect(await verifyAppToken(keys, changed, own, NOW_S)).toBe(expected);
      }),
    );
    const own = { workspace: "local", id: `ap-${"0".repeat(26)}` };
    const token = await mintCallToken(keys, own, NOW_S);
    const padded = token.replace(`-${NOW_S}-`, `-0${NOW_S}-`);
    expect(await verifyAppToken(keys, padded, own, NOW_S - 1)).toBe("invalid");
  });
});
