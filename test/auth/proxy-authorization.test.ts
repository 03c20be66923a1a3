import { randomBytes } from "node:crypto";
import { describe, expect, test, vi } from "vitest";

import { deriveGatewayKeys } from "../../auth/keys.ts";
import {
  type ProxyToken,
  type ProxyVerdict,
  authorizeProxy,
} from "../../auth/proxy-authorization.ts";
import { type Credential, TOKEN_RANDOM_BYTES, mintToken } from "../../auth/tokens.ts";

const NOW = 1_000_000;
const ENDPOINT = { workspace: "local", environment: "main", app: "chat", target: "/v1/models?x=/" };
const keys = await deriveGatewayKeys(Buffer.alloc(32, 7).toString("base64url"));

const mint = async (workspace = "local") =>
  await mintToken(keys, "proxy", workspace, randomBytes(TOKEN_RANDOM_BYTES));

const token = await mint();
const other = await mint();

/** The verdict where the workspace has `token`, restricted as said. */
async function verdict(
  presented: Credential | undefined,
  more: Partial<ProxyToken> = {},
): Promise<ProxyVerdict> {
  const { digest } = token;
  const tokens = new Map([[token.id, { digest, environments: [], apps: [], paths: [], ...more }]]);
  return await authorizeProxy(keys, tokens, presented, ENDPOINT, NOW);
}

const allowed = { kind: "allowed", id: token.id };
const refused = (code: string) => ({ kind: "refused", code });

describe("a lock", () => {
  test("opens for id and secret together", async () => {
    expect(await verdict(token)).toEqual(allowed);
  });

  test("asks for credentials where there are none", async () => {
    expect(await verdict(undefined)).toEqual(refused("missing_credentials"));
  });

  test.each([
    ["another secret", { id: token.id, secret: other.secret }],
    ["no secret", { id: token.id, secret: "" }],
    ["a secret with a blank", { id: token.id, secret: `${token.secret} ` }],
    ["a secret in upper case", { id: token.id, secret: token.secret.toUpperCase() }],
    ["an id in upper case", { id: token.id.toUpperCase(), secret: token.secret }],
    ["an id that nobody made", { id: `wk-${"a".repeat(26)}`, secret: token.secret }],
    ["an id that is no id", { id: "__proto__", secret: token.secret }],
    ["nothing at all", { id: "", secret: "" }],
  ])("stays closed for %s", async (_what, presented) => {
    expect(await verdict(presented)).toEqual(refused("invalid_credentials"));
  });

  test("stays closed for another workspace's token, even one that the snapshot names", async () => {
    const foreign = await mint("elsewhere");
    const tokens = new Map([
      [foreign.id, { digest: foreign.digest, environments: [], apps: [], paths: [] }],
    ]);
    expect(await authorizeProxy(keys, tokens, foreign, ENDPOINT, NOW)).toEqual(
      refused("invalid_credentials"),
    );
    expect(await verdict(foreign)).toEqual(refused("invalid_credentials"));
  });

  test("has the workspace asked for an id of ours that the snapshot lacks, whatever its secret", async () => {
    expect(await verdict(other)).toEqual({ kind: "unknown", id: other.id });
    expect(await verdict({ ...other, secret: "" })).toEqual({ kind: "unknown", id: other.id });
  });

  test.each([
    [NOW + 1, allowed],
    [NOW, refused("invalid_credentials")],
    [NOW - 1, refused("invalid_credentials")],
  ])("closes at the moment of expiry (%d)", async (expiresAt, expected) => {
    expect(await verdict(token, { expiresAt })).toEqual(expected);
  });

  test.each([
    [{ environments: ["main"] }, allowed],
    [{ environments: ["dev", "main"], apps: ["chat"] }, allowed],
    [{ apps: ["chat"] }, allowed],
    [{ environments: ["dev"] }, refused("forbidden")],
    [{ environments: ["Main"] }, refused("forbidden")],
    [{ environments: ["main"], apps: ["voice"] }, refused("forbidden")],
    [{ environments: ["dev"], apps: ["chat"] }, refused("forbidden")],
    [{ paths: ["/v1/*"] }, allowed],
    [{ paths: ["/v2/*", "/v1/models"] }, allowed],
    [{ paths: ["/v2/*"] }, refused("forbidden")],
    [{ paths: ["/"] }, refused("forbidden")],
    [{ apps: ["voice"], paths: ["/v1/*"] }, refused("forbidden")],
  ])("honours restrictions: %j", async (restrictions, expected) => {
    expect(await verdict(token, restrictions)).toEqual(expected);
  });

  test("does the same work whether the id exists, never did, or is no id", async () => {
    const digest = vi.spyOn(crypto.subtle, "digest");
    const sign = vi.spyOn(crypto.subtle, "sign");
    const work = async (id: string) => {
      digest.mockClear();
      sign.mockClear();
      expect(await verdict({ id, secret: other.secret })).toEqual(refused("invalid_credentials"));
      return [digest.mock.calls.length, sign.mock.calls.length];
    };
    expect(await work(token.id)).toEqual([1, 1]);
    expect(await work(`wk-${"a".repeat(26)}`)).toEqual([1, 1]);
    expect(await work("x")).toEqual([1, 1]);
    vi.restoreAllMocks();
  });

  describe("that it has opened once", () => {
    const { digest } = token;
    const known: ProxyToken = {
      digest,
      environments: [],
      apps: ["chat"],
      paths: [],
      expiresAt: 9e9,
    };
    const tokens = new Map([[token.id, known]]);
    const again = async (presented: Credential, endpoint = ENDPOINT, now = NOW) =>
      await authorizeProxy(keys, tokens, presented, endpoint, now);

    test("opens without computing anything", async () => {
      expect(await again(token)).toEqual(allowed);
      const computed = vi.spyOn(crypto.subtle, "digest");
      const signed = vi.spyOn(crypto.subtle, "sign");
      expect(await again({ ...token })).toEqual(allowed);
      expect([computed.mock.calls, signed.mock.calls]).toEqual([[], []]);
      vi.restoreAllMocks();
    });

    test("stays closed for all that it was closed for before", async () => {
      expect(await again(token)).toEqual(allowed);
      const { id, secret } = token;
      for (const wrong of [other.secret, "", `${secret} `, secret.slice(0, -1)]) {
        expect(await again({ id, secret: wrong })).toEqual(refused("invalid_credentials"));
      }
      expect(await again(token, { ...ENDPOINT, app: "voice" })).toEqual(refused("forbidden"));
      expect(await again(token, ENDPOINT, 9e9)).toEqual(refused("invalid_credentials"));
      const elsewhere = { ...ENDPOINT, workspace: "elsewhere" };
      expect(await again(token, elsewhere)).toEqual(refused("invalid_credentials"));
      const others = await deriveGatewayKeys(Buffer.alloc(32, 8).toString("base64url"));
      const elsewhereMade = await authorizeProxy(others, tokens, token, ENDPOINT, NOW);
      expect(elsewhereMade).toEqual(refused("invalid_credentials"));
    });

    test("stays closed once the token is gone, or has another secret", async () => {
      expect(await again(token)).toEqual(allowed);
      expect(await authorizeProxy(keys, new Map(), token, ENDPOINT, NOW)).toMatchObject({
        kind: "unknown",
      });
      const replaced = new Map([[token.id, { ...known, digest: other.digest }]]);
      expect(await authorizeProxy(keys, replaced, token, ENDPOINT, NOW)).toEqual(
        refused("invalid_credentials"),
      );
    });
  });

  test("does not say forbidden to a wrong secret", async () => {
    const presented = { id: token.id, secret: other.secret };
    expect(await verdict(presented, { apps: ["voice"] })).toEqual(refused("invalid_credentials"));
  });
});
