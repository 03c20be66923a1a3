/** A gateway's secret is replaced: what the one before signed stays valid while both are there, for every key. */
import { expect, test } from "vitest";

import { mintAppToken, verifyAppToken } from "../../auth/app-token.ts";
import { signAffinityCookie, verifyAffinityCookie } from "../../auth/affinity-cookie.ts";
import { deriveBoxKey, mintBoxCredential, verifyBoxCredential } from "../../auth/box-credential.ts";
import { signConnectToken, verifyConnectToken } from "../../auth/connect-token.ts";
import { deriveGatewayKeys, type GatewayKeys, validKeys } from "../../auth/keys.ts";
import { signResultToken, verifyResultToken } from "../../auth/result-token.ts";
import { deriveSecretsKey, openSecret, sealSecret } from "../../auth/secrets.ts";
import { signSignInCookie, verifySignInCookie } from "../../auth/sign-in-cookie.ts";
import { openSignInState, sealSignInState, STATE_ID_BYTES } from "../../auth/sign-in-state.ts";
import { isOurId, mintToken, TOKEN_RANDOM_BYTES } from "../../auth/tokens.ts";

const NOW_S = 1_800_000_000;
const secretOf = (byte: number) => Buffer.alloc(32, byte).toString("base64url");
const [OLD, NEW, OTHER] = [1, 2, 3].map(secretOf);

const before = await deriveGatewayKeys(OLD as string);
const both = await deriveGatewayKeys(`${NEW},${OLD}`);
const after = await deriveGatewayKeys(NEW as string);
const elsewhere = await deriveGatewayKeys(`${NEW},${OTHER}`);

const APP = { workspace: "local", id: `ap-${"0".repeat(26)}` };
const ENDPOINT = { workspace: "local", appId: APP.id, endpoint: "main/chat/f" };
const CONNECTED = { workspace: "local", environment: "main", app: "chat", endpoint: "main/chat/f" };
const DOOR = { ...CONNECTED, host: "a.example", issuer: "https://id.example", clientId: "chat" };
const PLACE = { workspace: "local", environment: 1, name: "hf" };

type Makes = (keys: GatewayKeys) => Promise<string>;
type Takes = (keys: GatewayKeys, text: string) => Promise<boolean>;

/** One case for each key that signs or seals; `firstTokens` makes tokens, which `tokenIds` signs. */
const CASES = {
  tokenIds: [
    async (keys) =>
      (await mintToken(keys, "proxy", "local", new Uint8Array(TOKEN_RANDOM_BYTES))).id,
    async (keys, id) => await isOurId(keys, "proxy", "local", id),
  ],
  resultTokens: [
    async ({ resultTokens }) => {
      const callId = "0b5a8f9e-6a0c-4d8e-9a55-0f3a3a7f2c11";
      const call = { callId, box: "gpu-1", isHead: false, hop: 0 };
      return await signResultToken({ ...ENDPOINT, ...call, expiresAtS: NOW_S + 9 }, resultTokens);
    },
    async (keys, token) => {
      const valid = validKeys(keys).map(({ resultTokens }) => resultTokens);
      return (await verifyResultToken(token, valid, NOW_S)).kind === "valid";
    },
  ],
  boxKeys: [
    async (keys) => {
      const identity = { workspace: "local", box: "gpu-1", serial: "5e71a1" };
      const key = await deriveBoxKey(keys, identity);
      return await mintBoxCredential({ ...identity, key, audience: "localhost" }, NOW_S);
    },
    async (keys, credential) =>
      (await verifyBoxCredential(keys, credential, "localhost", NOW_S)).kind === "valid",
  ],
  appTokens: [
    async (keys) => await mintAppToken(keys, APP),
    async (keys, token) => (await verifyAppToken(keys, token, APP, NOW_S)) === "allowed",
  ],
  affinityCookies: [
    async (keys) => {
      const claims = { id: "a".repeat(16), box: "gpu-1", container: "ct-1" };
      return await signAffinityCookie(keys, ENDPOINT, claims);
    },
    async (keys, cookie) => (await verifyAffinityCookie(keys, ENDPOINT, cookie)) !== undefined,
  ],
  connectTokens: [
    async ({ connectTokens }) =>
      await signConnectToken({ ...CONNECTED, userData: "", expiresAtS: NOW_S + 9 }, connectTokens),
    async (keys, token) => {
      const valid = validKeys(keys).map(({ connectTokens }) => connectTokens);
      return (await verifyConnectToken(token, valid, CONNECTED, NOW_S)).kind === "allowed";
    },
  ],
  signInCookies: [
    async ({ signInCookies }) =>
      await signSignInCookie(
        signInCookies,
        DOOR,
        { sub: "1", email: "a@b.example" },
        { seconds: NOW_S + 9, round: 0 },
      ),
    async (keys, cookie) => {
      const valid = validKeys(keys).map(({ signInCookies }) => signInCookies);
      return (
        (await verifySignInCookie(valid, DOOR, cookie, { seconds: NOW_S, round: 0 })) !== undefined
      );
    },
  ],
  signInStates: [
    async (keys) => {
      const state = { target: "/", nonce: "n", verifier: "v", expiresAtS: NOW_S + 9 };
      return await sealSignInState(keys, DOOR, "b", state, new Uint8Array(STATE_ID_BYTES));
    },
    async (keys, text) => (await openSignInState(keys, DOOR, "b", text, NOW_S)) !== undefined,
  ],
  secrets: [
    async (keys) => {
      const key = await deriveSecretsKey(keys, "local");
      const sealed = await sealSecret(key, PLACE, { X: "1" }, new Uint8Array(12));
      return Buffer.from(sealed).toString("base64");
    },
    async (keys, text) => {
      const sealed = new Uint8Array(Buffer.from(text, "base64")).buffer;
      const opened = await Promise.all(
        validKeys(keys).map(
          async (valid) =>
            await openSecret(
              await deriveSecretsKey(valid, "local"),
              PLACE,
              sealed,
              new Uint8Array(12),
            ),
        ),
      );
      return opened.some((variables) => variables !== undefined);
    },
  ],
  // A domain's proof is kept beside the domain, whatever the key becomes.
} satisfies Record<
  Exclude<keyof GatewayKeys, "id" | "before" | "firstTokens" | "domainProofs">,
  readonly [Makes, Takes]
>;

test.each(Object.entries(CASES))(
  "what the key before made by %s is valid beside the present one's, and void without it",
  async (_name, [make, takes]) => {
    const old = await make(before);
    expect([await takes(before, old), await takes(both, old)]).toEqual([true, true]);
    expect([await takes(after, old), await takes(elsewhere, old)]).toEqual([false, false]);
    // The present key alone makes what is new.
    const fresh = await make(both);
    expect([await takes(both, fresh), await takes(after, fresh)]).toEqual([true, true]);
    expect(await takes(before, fresh)).toBe(false);
  },
);

test.each(["", ",", `${NEW},`, `,${OLD}`, `${NEW} ${OLD}`, `${NEW},${OLD},${OTHER}`])(
  "%j is no gateway's key",
  async (secret) => {
    await expect(deriveGatewayKeys(secret)).rejects.toThrow("the gateway's key is");
  },
);
