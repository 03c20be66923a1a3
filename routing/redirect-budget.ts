/**
 * How many redirects a client follows before its library fails. The gateway redirects less often than that, and
 * ends in a response that the client can show: a 202 with the call's URLs. Clients that the table lacks follow 20
 * or more. Those of held-requests.ts are not redirected at all. Pure.
 *
 * We counted the redirects that clients follow from a server that never stops redirecting (303, each to another
 * URL, after a POST): curl 7.88 50, newer ones 30; requests 2.34 30; axios 1.21 21; and 20 each: fetch in Node 20
 * and 24, fetch in Chromium, httpx 0.27, node-fetch 3.3, ky 1.14, wget 1.21, the OpenAI SDKs for Python and Node.
 * The OpenAI SDKs start over with a second POST at their limit. superagent 10 follows 5, but sends no User-Agent
 * to tell it by.
 */

/** Redirects that a client follows, where they are fewer than 20, by product of the User-Agent field. */
const REDIRECTS_FOLLOWED: ReadonlyMap<string, number> = new Map([
  // net/http of Go 1.26 stops before its 11th request.
  ["Go-http-client", 9],
  // The SDK for Go 3.95 uses net/http.
  ["OpenAI/Go", 9],
  // aiohttp 3.14 calls itself `Python/3.11 aiohttp/3.14.5`; max_redirects = 10 counts the one that fails.
  ["aiohttp", 9],
  // urllib of Python 3.11; its limit of 4 a URL does not apply, since no two result URLs are the same.
  ["Python-urllib", 10],
  // urllib3 2.8, used without requests: Retry.DEFAULT is 3 of everything.
  ["python-urllib3", 3],
  // got 14.6 and older.
  ["got", 10],
  // HttpURLConnection of Java 17; http.maxRedirects = 20 counts requests.
  ["Java", 19],
  // LWP 6.68.
  ["libwww-perl", 7],
]);

/** For other clients: one before 20, which is the smallest of their limits. */
export const DEFAULT_FINAL_HOP = 19;

/** A User-Agent field names its product in its first words. */
const MAX_USER_AGENT_CHARACTERS = 256;

/**
 * The hop at which the gateway no longer redirects, whether or not the call has ended. Hop 0 is the request itself.
 * The client's last redirect stays unused: a proxy before the gateway may need it (http to https), or the app, to
 * redirect by itself.
 */
export function finalHop(userAgent: string | undefined): number {
  if (userAgent === undefined) return DEFAULT_FINAL_HOP;
  // RFC 9110, 10.1.5: products in order of importance. aiohttp is the second.
  const products = userAgent.slice(0, MAX_USER_AGENT_CHARACTERS).split(" ", 2);
  let final = DEFAULT_FINAL_HOP;
  for (const product of products) {
    const [name = ""] = product.split("/", 1);
    const followed = REDIRECTS_FOLLOWED.get(product) ?? REDIRECTS_FOLLOWED.get(name);
    if (followed !== undefined) final = Math.min(final, followed - 1);
  }
  return final;
}
