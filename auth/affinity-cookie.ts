/**
 * Affinity cookies: the value of the gateway's `postern_affinity`. One names a session and the place where it was
 * last, and the gateway's MAC covers both and the endpoint. With it the edge finds a session that it has forgotten, and
 * nobody chooses a box or a container. A cookie opens nothing, and its holder can read it. A value has one spelling.
 */
import { type GatewayKeys, validKeys } from "./keys.ts";
import { letters, sameText } from "./letters.ts";

/** The endpoint that a cookie is for. */
export interface CookieEndpoint {
  readonly workspace: string;
  /** `ap-` and 26 hex digits. */
  readonly appId: string;
  /** The endpoint's name within its box. */
  readonly endpoint: string;
}

/** A session, and the place where it was when the cookie was made. */
export interface AffinityClaims {
  /** Of `AFFINITY_ID_CHARACTERS` letters. */
  readonly id: string;
  readonly box: string;
  /** `ct-` and hex digits. */
  readonly container: string;
}

/** 80 random bits: no two sessions of a gateway meet. One for each letter. */
export const AFFINITY_ID_CHARACTERS = 16;

/** 100 bits. A MAC that is guessed right wins a choice of container. */
const MAC_CHARACTERS = 20;

const VALUE = /^([a-z2-7]{16}):([A-Za-z0-9._-]{1,64}):(ct-[0-9a-f]{1,40}):([a-z2-7]{20})$/;

/** The id of a new session. @param random `AFFINITY_ID_CHARACTERS` bytes from a cryptographic source */
export function affinityId(random: Uint8Array): string {
  if (random.length !== AFFINITY_ID_CHARACTERS) throw new RangeError("an id needs 16 random bytes");
  return letters(random);
}

/** Makes a cookie's value. @throws RangeError for claims that `verifyAffinityCookie` would not accept */
export async function signAffinityCookie(
  keys: GatewayKeys,
  endpoint: CookieEndpoint,
  { id, box, container }: AffinityClaims,
): Promise<string> {
  const text = `${id}:${box}:${container}`;
  const value = `${text}:${await macOf(keys, endpoint, text)}`;
  if (!VALUE.test(value)) throw new RangeError("these claims make no affinity cookie");
  return value;
}

/** The claims of a value that this gateway made for this endpoint; undefined for any other. Never throws. */
export async function verifyAffinityCookie(
  keys: GatewayKeys,
  endpoint: CookieEndpoint,
  value: string,
): Promise<AffinityClaims | undefined> {
  const [, id = "", box = "", container = "", given = ""] = VALUE.exec(value) ?? [];
  if (id === "") return undefined;
  for (const valid of validKeys(keys)) {
    const mac = await macOf(valid, endpoint, `${id}:${box}:${container}`);
    if (sameText(given, mac)) return { id, box, container };
  }
  return undefined;
}

/** No name has a line break. */
async function macOf(
  keys: GatewayKeys,
  { workspace, appId, endpoint }: CookieEndpoint,
  claims: string,
): Promise<string> {
  const text = new TextEncoder().encode([workspace, appId, endpoint, claims].join("\n"));
  const mac = await crypto.subtle.sign("HMAC", keys.affinityCookies, text);
  return letters(new Uint8Array(mac, 0, MAC_CHARACTERS));
}
