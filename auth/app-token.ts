/**
 * App tokens (`pat-…`). A container gets one as POSTERN_APP_TOKEN, and opens its own app's private endpoints with
 * it. A token is the app's id with the gateway's MAC: the gateway stores no token, and checks one without asking
 * an object. It does not expire. Stopping an app ends its id, and a later app of the same name has another.
 */
import type { GatewayKeys } from "./keys.ts";
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

const TOKEN = /^pat-([0-9a-f]{26})-([a-z2-7]{32})$/;

/** The token of an app; always the same one. @throws RangeError where the id is no app's */
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

/** The MAC covers the workspace, so a token is forged in any other. No name has a line break. */
async function macOf(keys: GatewayKeys, { workspace, id }: TokenApp): Promise<string> {
  const text = new TextEncoder().encode(`${workspace}\n${id}`);
  return letters(new Uint8Array(await crypto.subtle.sign("HMAC", keys.appTokens, text)));
}
