/**
 * Proxy tokens (`wk-…` with `ws-…`) and API tokens (`ak-…` with `as-…`): how they are spelt, made and recognised. An
 * id ends in a short MAC of the gateway's, so a forged one is refused before any object is asked. Of a secret only a
 * digest is stored. Each token has one spelling (letters.ts).
 */
import { type GatewayKeys, purpose, validKeys } from "./keys.ts";
import { letters, sameText } from "./letters.ts";

export type TokenKind = "proxy" | "api";

const PREFIX: Readonly<Record<TokenKind, { id: string; secret: string }>> = {
  proxy: { id: "wk-", secret: "ws-" },
  api: { id: "ak-", secret: "as-" },
};

/** 80 random bits: no two tokens of a gateway meet. */
const ID_CHARACTERS = 16;
/** 50 bits. A MAC that is guessed right wins one question to a Workspace object. */
const MAC_CHARACTERS = 10;
/** 160 random bits, so a plain SHA-256 protects them. */
const SECRET_CHARACTERS = 32;

/** Random bytes that `mintToken` needs. */
export const TOKEN_RANDOM_BYTES = ID_CHARACTERS + SECRET_CHARACTERS;

const PROXY_ID = /^wk-[a-z2-7]{26}$/;
/** An API token names its workspace, in 1 to 64 characters. */
const API_ID = /^ak-([A-Za-z0-9._-]{1,64})-[a-z2-7]{26}$/;

/** Id and secret as a client presents them: any two strings. */
export interface Credential {
  readonly id: string;
  readonly secret: string;
}

export interface MintedToken extends Credential {
  readonly digest: ArrayBuffer;
}

/**
 * Makes a token.
 * @param random `TOKEN_RANDOM_BYTES` bytes from a cryptographic source
 */
export async function mintToken(
  keys: GatewayKeys,
  kind: TokenKind,
  workspace: string,
  random: Uint8Array,
): Promise<MintedToken> {
  if (random.length !== TOKEN_RANDOM_BYTES) throw new RangeError("a token needs 48 random bytes");
  const head = idHead(kind, workspace) + letters(random.subarray(0, ID_CHARACTERS));
  const id = head + (await macOf(keys, workspace, head));
  const secret = PREFIX[kind].secret + letters(random.subarray(ID_CHARACTERS));
  return { id, secret, digest: await digestOf({ id, secret }) };
}

/** The first API token of a workspace. It follows from the key, so gateway and command agree without a message. */
export async function firstApiToken(keys: GatewayKeys, workspace: string): Promise<MintedToken> {
  const bits = await crypto.subtle.deriveBits(
    purpose(`first token of ${workspace}`),
    keys.firstTokens,
    TOKEN_RANDOM_BYTES * 8,
  );
  return await mintToken(keys, "api", workspace, new Uint8Array(bits));
}

/** Whether this gateway made the id for this workspace. It may have expired, or have been revoked. */
export async function isOurId(
  keys: GatewayKeys,
  kind: TokenKind,
  workspace: string,
  id: string,
): Promise<boolean> {
  const spelt = kind === "proxy" ? PROXY_ID.test(id) : workspaceOfApiToken(id) === workspace;
  const head = id.slice(0, -MAC_CHARACTERS);
  const macs = await Promise.all(
    validKeys(keys).map(async (valid) => await macOf(valid, workspace, head)),
  );
  return macs.some((mac) => sameText(id.slice(-MAC_CHARACTERS), mac)) && spelt;
}

/** The workspace that an API token's id names, unverified; undefined where it is no such id. */
export function workspaceOfApiToken(id: string): string | undefined {
  return API_ID.exec(id)?.[1];
}

/** SHA-256 of `<id>.<secret>`, so that a token's digest is of no use under another id. */
export async function digestOf({ id, secret }: Credential): Promise<ArrayBuffer> {
  return await crypto.subtle.digest("SHA-256", new TextEncoder().encode(`${id}.${secret}`));
}

/** Compares digests in constant time: it does not depend on where they differ. */
export function sameDigest(left: ArrayBuffer, right: ArrayBuffer): boolean {
  const a = new Uint8Array(left);
  const b = new Uint8Array(right);
  let difference = a.length ^ b.length;
  for (let index = 0; index < a.length; index++) {
    difference |= (a[index] as number) ^ (b[index] ?? 0);
  }
  return difference === 0;
}

function idHead(kind: TokenKind, workspace: string): string {
  return kind === "proxy" ? PREFIX.proxy.id : `${PREFIX.api.id}${workspace}-`;
}

/** The MAC covers the workspace, so an id is forged in any other. No name has a line break. */
async function macOf(keys: GatewayKeys, workspace: string, head: string): Promise<string> {
  const text = new TextEncoder().encode(`${workspace}\n${head}`);
  const mac = await crypto.subtle.sign("HMAC", keys.tokenIds, text);
  return letters(new Uint8Array(mac, 0, MAC_CHARACTERS));
}
