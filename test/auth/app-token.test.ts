import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { mintAppToken, verifyAppToken } from "../../auth/app-token.ts";
import { deriveGatewayKeys } from "../../auth/keys.ts";

const keys = await deriveGatewayKeys(Buffer.alloc(32, 7).toString("base64url"));
const otherKeys = await deriveGatewayKeys(Buffer.alloc(32, 8).toString("base64url"));

const app = fc.record({
  workspace: fc.stringMatching(/^[A-Za-z0-9._-]{1,64}$/),
  id: fc.stringMatching(/^ap-[0-9a-f]{26}$/),
});

describe("an app token", () => {
  test("opens its own app alone, at the gateway that made it", async () => {
    await fc.assert(
      fc.asyncProperty(app, app, async (own, other) => {
        const token = await mintAppToken(keys, own);
        expect(await verifyAppToken(keys, token, own)).toBe("allowed");
        expect(await verifyAppToken(otherKeys, token, own)).toBe("invalid");
        const neighbour = { workspace: own.workspace, id: other.id };
        const sameApp = own.id === other.id;
        expect(await verifyAppToken(keys, token, neighbour)).toBe(
          sameApp ? "allowed" : "forbidden",
        );
        const sameWorkspace = own.workspace === other.workspace;
        const elsewhere = await verifyAppToken(keys, token, { ...other, id: own.id });
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
        expect(await verifyAppToken(keys, changed, own)).toBe(expected);
      }),
    );
  });

  test.each(["", "pat-", "shop"])("is not made for %j, which is no app's id", async (id) => {
    await expect(mintAppToken(keys, { workspace: "local", id })).rejects.toThrow(RangeError);
  });
});
