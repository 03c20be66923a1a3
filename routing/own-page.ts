/**
 * Whether a cookie may speak for a request. Browsers add cookies to what other pages ask for. All endpoints are below one
 * domain, so that `SameSite` does not keep one tenant's page from asking another tenant's endpoint. Pure.
 */
import type { CorsSetting } from "./cors.ts";

/** A runtime's `Headers`, or anything that answers like it. */
interface BrowserHeaders {
  get(name: string): string | null;
}

/**
 * Whether the request comes from a page of this host, from a page that `cors` lets use cookies, from the address bar or
 * a link, or from no browser.
 * @param method in upper case
 * @param authority the public Host, as `parseHost` gives it
 */
export function mayUseCookies(
  method: string,
  headers: BrowserHeaders,
  authority: string,
  cors: CorsSetting,
): boolean {
  const origin = headers.get("origin");
  // Browsers name it for each WebSocket, and for each request but GET and HEAD (Fetch, "append a request Origin header").
  if (origin !== null) return isOriginOf(origin, authority) || isCredentialed(cors, origin);
  const site = headers.get("sec-fetch-site");
  if (site === null || site === "same-origin" || site === "none") return true;
  return headers.get("sec-fetch-mode") === "navigate" && (method === "GET" || method === "HEAD");
}

/** The scheme is not compared: a proxy in front may end TLS. */
function isOriginOf(origin: string, authority: string): boolean {
  return /^https?:\/\/([^/]+)$/.exec(origin)?.[1] === authority;
}

function isCredentialed(cors: CorsSetting, origin: string): boolean {
  if (typeof cors === "boolean" || cors.credentials !== true) return false;
  return cors.origins?.some((allowed) => allowed.toLowerCase() === origin) === true;
}
