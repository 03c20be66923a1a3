/**
 * App tokens (`pat-…`). A container gets one as POSTERN_APP_TOKEN, and opens its own app's private endpoints with
 * it. A token is the app's id with the gateway's MAC: the gateway stores no token, and checks one without asking
 * an object. It does not expire. Stopping an app ends its id, and a later app of the same name has another.
 *
 * Call tokens open the same for some minutes. Their MAC has the app token as its key, so that a container, which knows
 * its app token and none of the gateway's keys, checks one as well (origin-gpu/python/postern/_wire.py).
 */
import { type GatewayKeys, validKeys } from "./keys.ts";
import { letters, sameText } from "./letters.ts";

/** The app that a token belongs to. */
export interface TokenApp {
  readonly workspace: string;
  /** `ap-` and 26 hex digits. */
  readonly id: string;
}

/** `forbidden`: the token is of another app of the same workspace. */
export type AppTokenVerdict = "allowed" | "forbidden" | "invalid";

const APP_ID = /^ap-[0-9a-f]{26}$/;

const TOKEN = /^pat-([0-9a-f]{26})(?:-(\d{1,15}))?-([a-z2-7]{32})$/;

/** The token of an app; always the same one. @throws RangeError where the id is no app's */
export async function mintAppToken(keys: GatewayKeys, app: TokenApp): Promise<string> {
  if (!APP_ID.test(app.id)) throw new RangeError(`${app.id} is no app's id`);
  return `pat-${app.id.slice("ap-".length)}-${await macOf(keys, app)}`;
}

/** A token that opens what the app's token opens, until then. @throws RangeError where the id is no app's */
export async function mintCallToken(
  keys: GatewayKeys,
  app: TokenApp,
  expiresAtS: number,
): Promise<string> {
  const token = await mintAppToken(keys, app);
  const mac = await callMacOf(token, `${expiresAtS}`);
  return `pat-${app.id.slice("ap-".length)}-${expiresAtS}-${mac}`;
}

/** Whether an app token or a call token opens an app's endpoints. Never throws. @param nowS seconds since 1970 */
export async function verifyAppToken(
  keys: GatewayKeys,
  token: string,
  app: TokenApp,
  nowS: number,
): Promise<AppTokenVerdict> {
  for (const valid of validKeys(keys)) {
    const verdict = await verifyUnder(valid, token, app, nowS);
    if (verdict !== "invalid") return verdict;
  }
  return "invalid";
}

/** The verdict by one key. */
async function verifyUnder(
  keys: GatewayKeys,
  token: string,
  { workspace, id }: TokenApp,
  nowS: number,
): Promise<AppTokenVerdict> {
  const [, digits = "", expiry, given = ""] = TOKEN.exec(token) ?? [];
  const claimed = `ap-${digits}`;
  const mac = await macOf(keys, { workspace, id: claimed });
  if (expiry === undefined) {
    if (!sameText(given, mac)) return "invalid";
  } else {
    const expected = await callMacOf(`pat-${digits}-${mac}`, expiry);
    if (!sameText(given, expected) || nowS >= Number(expiry)) return "invalid";
  }
  return claimed === id ? "allowed" : "forbidden";
}

/** @param expiry as the token spells it, so that it has one spelling */
async function callMacOf(appToken: string, expiry: string): Promise<string> {
  const encoder = new TextEncoder();
  const algorithm = { name: "HMAC", hash: "SHA-256" };
  const key = await crypto.subtle.importKey("raw", encoder.encode(appToken), algorithm, false, [
    "sign",
  ]);
  const text = encoder.encode(`call token\n${expiry}`);
  return letters(new Uint8Array(await crypto.subtle.sign("HMAC", key, text)));
}

/** The MAC covers the workspace, so a token is forged in any other. No name has a line break. */
async function macOf(keys: GatewayKeys, { workspace, id }: TokenApp): Promise<string> {
  const text = new TextEncoder().encode(`${workspace}\n${id}`);
  return letters(new Uint8Array(await crypto.subtle.sign("HMAC", keys.appTokens, text)));
}
