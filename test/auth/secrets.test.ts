import { randomBytes } from "node:crypto";
import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { deriveGatewayKeys } from "../../auth/keys.ts";
import { deriveSecretsKey, openSecret, SECRET_IV_BYTES, sealSecret } from "../../auth/secrets.ts";

const keys = await deriveGatewayKeys(Buffer.alloc(32, 7).toString("base64url"));
const otherKeys = await deriveGatewayKeys(Buffer.alloc(32, 8).toString("base64url"));

const place = fc.record({
  workspace: fc.stringMatching(/^[A-Za-z0-9._-]{1,64}$/),
  environment: fc.nat(),
  name: fc.stringMatching(/^[A-Za-z0-9._-]{1,64}$/),
});
const variables = fc.dictionary(
  fc.stringMatching(/^[A-Z_]{1,8}$/),
  fc.string({ unit: "grapheme" }),
  {
    noNullPrototype: true,
  },
);
const iv = fc
  .uint8Array({ minLength: SECRET_IV_BYTES, maxLength: SECRET_IV_BYTES })
  .map((bytes) => new Uint8Array(bytes));

describe("a sealed secret", () => {
  test("opens where it was sealed, with the key of its workspace and gateway", async () => {
    await fc.assert(
      fc.asyncProperty(place, variables, iv, async (where, values, random) => {
        const key = await deriveSecretsKey(keys, where.workspace);
        const sealed = await sealSecret(key, where, values, random);
        expect(await openSecret(key, where, sealed, random)).toEqual(values);
        const elsewhere = await deriveSecretsKey(otherKeys, where.workspace);
        expect(await openSecret(elsewhere, where, sealed, random)).toBeUndefined();
        const neighbour = await deriveSecretsKey(keys, `${where.workspace}x`);
        expect(await openSecret(neighbour, where, sealed, random)).toBeUndefined();
      }),
    );
  });

  test("does not open at another place, or with any bit changed", async () => {
    const where = { workspace: "local", environment: 1, name: "a" };
    const key = await deriveSecretsKey(keys, "local");
    const random = new Uint8Array(randomBytes(SECRET_IV_BYTES));
    const sealed = await sealSecret(key, where, { A: "1" }, random);
    for (const other of [{ workspace: "other" }, { environment: 2 }, { name: "b" }]) {
      expect(await openSecret(key, { ...where, ...other }, sealed, random)).toBeUndefined();
    }
    for (let index = 0; index < sealed.byteLength; index++) {
      const changed = new Uint8Array(sealed.slice());
      changed[index] = (changed[index] as number) ^ 1;
      expect(await openSecret(key, where, changed.buffer, random)).toBeUndefined();
    }
  });

  test("needs an IV of 96 bits", async () => {
    const where = { workspace: "local", environment: 1, name: "a" };
    const key = await deriveSecretsKey(keys, "local");
    await expect(sealSecret(key, where, {}, new Uint8Array(11))).rejects.toThrow(RangeError);
  });
});
