/**
 * The gateway's own cookie `postern_affinity` on its way: the line that sets it, and its values in a client's
 * Cookie header. No app sees it. auth/affinity-cookie.ts makes and checks its value. Pure.
 */
import { cookieValues } from "./own-cookies.ts";

export const AFFINITY_COOKIE = "postern_affinity";

/** The Set-Cookie line, for this host alone and as long as the browser runs. */
export function affinityCookieLine(value: string, scheme: "http" | "https"): string {
  // A page in a frame of another site keeps its cookie in that site's own jar (CHIPS); browsers demand Secure for it.
  const embeddable = scheme === "https" ? "Secure; SameSite=None; Partitioned" : "SameSite=Lax";
  return `${AFFINITY_COOKIE}=${value}; Path=/; HttpOnly; ${embeddable}`;
}

/** The values that a client sends under the cookie's name. */
export function affinityCookieValues(header: string | null): string[] {
  return cookieValues(header, AFFINITY_COOKIE);
}
