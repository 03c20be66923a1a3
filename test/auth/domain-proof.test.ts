import { expect, test } from "vitest";

import { domainProof } from "../../auth/domain-proof.ts";
import { deriveGatewayKeys } from "../../auth/keys.ts";

const keys = await deriveGatewayKeys(Buffer.alloc(32, 7).toString("base64url"));
const otherKeys = await deriveGatewayKeys(Buffer.alloc(32, 8).toString("base64url"));

test("a proof is one workspace's, for one domain, at one gateway, and stays the same", async () => {
  const proof = await domainProof(keys, "ecorp", "example.com");
  expect(proof).toMatch(/^postern-domain=[a-z2-7]{32}$/);
  expect(await domainProof(keys, "ecorp", "example.com")).toBe(proof);
  expect(await domainProof(keys, "other", "example.com")).not.toBe(proof);
  expect(await domainProof(keys, "ecorp", "*.example.com")).not.toBe(proof);
  expect(await domainProof(otherKeys, "ecorp", "example.com")).not.toBe(proof);
});
