/**
 * App tokens (`pat-…`): what a container gets as POSTERN_APP_TOKEN, so that one endpoint of an app calls
 * another through its lock. A token is the app's id with a MAC of the gateway's: it is checked without
 * asking anybody, and nobody keeps it. It has no end of its own. An app that is stopped ends with its id,
 * and a later one of the same name has another.
 */
import type { GatewayKeys } from "./keys.ts";
import { letters, sameText } from "./letters.ts";

/** An app, as everything about it is bound to it. */
export interface TokenApp {
  readonly workspace: string;
  /** `ap-` and 26 hex digits. */
  readonly id: string;
}

/** `forbidden`: another app's, of the same workspace. */
export type AppTokenVerdict = "allowed" | "forbidden" | "invalid";

const APP_ID = /^ap-[0-9a-f]{26}$/;

const TOKEN = /^pat-([0-9a-f]{26})-([a-z2-7]{32})$/;

/** The token of an app: always the same. @throws RangeError for what is no app's id */
export async function mintAppToken(keys: GatewayKeys, app: TokenApp): Promise<string> {
  if (!APP_ID.test(app.id)) throw new RangeError(`${app.id} is no app's id`);
  return `pat-${app.id.slice("ap-".length)}-${await macOf(keys, app)}`;
}

/** Whether a token opens an app's endpoints. Never throws. */
export async function verifyAppToken(
  keys: GatewayKeys,
  token: string,
  { workspace, id }: TokenApp,
): Promise<AppTokenVerdict> {
  const [, digits = "", given = ""] = TOKEN.exec(token) ?? [];
  const claimed = `ap-${digits}`;
  const mac = await macOf(keys, { workspace, id: claimed });
  if (!sameText(given, mac)) return "invalid";
  return claimed === id ? "allowed" : "forbidden";
}

/** Bound to the workspace: another one's token is a forged one. No name has a line break. */
async function macOf(keys: GatewayKeys, { workspace, id }: TokenApp): Promise<string> {
  const text = new TextEncoder().encode(`${workspace}\n${id}`);
  return letters(new Uint8Array(await crypto.subtle.sign("HMAC", keys.appTokens, text)));
}
