import fc from "fast-check";
import { describe, expect, test } from "vitest";

import {
  AFFINITY_ID_CHARACTERS,
  affinityId,
  signAffinityCookie,
  verifyAffinityCookie,
} from "../../auth/affinity-cookie.ts";
import { deriveGatewayKeys } from "../../auth/keys.ts";

const keys = await deriveGatewayKeys(Buffer.alloc(32, 7).toString("base64url"));
const otherKeys = await deriveGatewayKeys(Buffer.alloc(32, 8).toString("base64url"));

const endpoint = fc.record({
  workspace: fc.stringMatching(/^[A-Za-z0-9._-]{1,64}$/),
  appId: fc.stringMatching(/^ap-[0-9a-f]{26}$/),
  endpoint: fc.stringMatching(/^[!-~]{1,80}$/),
});

const claims = fc.record({
  id: fc.stringMatching(/^[a-z2-7]{16}$/),
  box: fc.stringMatching(/^[A-Za-z0-9._-]{1,64}$/),
  container: fc.stringMatching(/^ct-[0-9a-f]{1,40}$/),
});

/** RFC 6265, 4.1.1: the characters of a cookie's value. */
const COOKIE_VALUE = /^[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]{1,200}$/;

describe("an affinity cookie", () => {
  test("names its session and place, at its endpoint alone and at the gateway that made it", async () => {
    await fc.assert(
      fc.asyncProperty(endpoint, endpoint, claims, async (own, other, session) => {
        const value = await signAffinityCookie(keys, own, session);
        expect(value).toMatch(COOKIE_VALUE);
        expect(await verifyAffinityCookie(keys, own, value)).toEqual(session);
        expect(await verifyAffinityCookie(otherKeys, own, value)).toBeUndefined();
        for (const part of ["workspace", "appId", "endpoint"] as const) {
          const elsewhere = { ...own, [part]: other[part] };
          const expected = own[part] === other[part] ? session : undefined;
          expect(await verifyAffinityCookie(keys, elsewhere, value)).toEqual(expected);
        }
      }),
    );
  });

  test("has one spelling: any other character anywhere makes it nobody's", async () => {
    const change = fc.string({ unit: "binary", minLength: 0, maxLength: 2 });
    await fc.assert(
      fc.asyncProperty(endpoint, claims, fc.nat(), change, async (own, session, place, put) => {
        const value = await signAffinityCookie(keys, own, session);
        const at = place % value.length;
        const changed = value.slice(0, at) + put + value.slice(at + 1);
        const expected = changed === value ? session : undefined;
        expect(await verifyAffinityCookie(keys, own, changed)).toEqual(expected);
      }),
    );
  });

  test("is none in whatever else a client sends", async () => {
    const own = { workspace: "local", appId: `ap-${"0".repeat(26)}`, endpoint: "main/a/f" };
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: "binary", maxLength: 300 }), async (value) => {
        expect(await verifyAffinityCookie(keys, own, value)).toBeUndefined();
      }),
    );
  });

  test.each([
    { id: "short", box: "a", container: "ct-1" },
    { id: "a".repeat(16), box: "a:b", container: "ct-1" },
    { id: "a".repeat(16), box: "", container: "ct-1" },
    { id: "a".repeat(16), box: "a", container: "1" },
  ])("is not made of %j", async (session) => {
    const own = { workspace: "local", appId: `ap-${"0".repeat(26)}`, endpoint: "main/a/f" };
    await expect(signAffinityCookie(keys, own, session)).rejects.toThrow(RangeError);
  });
});

test("an id takes a random byte for each letter", () => {
  const bytes = Uint8Array.from({ length: AFFINITY_ID_CHARACTERS }, (_, index) => index);
  expect(affinityId(bytes)).toBe("abcdefghijklmnop");
  expect(() => affinityId(bytes.subarray(1))).toThrow(RangeError);
});
