/**
 * The gateway's own cookie `postern_affinity` on its way: the line that sets it, and a client's Cookie header with and
 * without it. No app sees it. auth/affinity-cookie.ts makes and checks its value. Pure.
 */

const NAME = "postern_affinity";

/** Values of one header that are looked at: a neighbour's page can add some for the whole base domain. */
const MAX_VALUES = 4;

/** The Set-Cookie line, for this host alone and as long as the browser runs. */
export function affinityCookieLine(value: string, scheme: "http" | "https"): string {
  // A page in a frame of another site keeps its cookie in that site's own jar (CHIPS); browsers demand Secure for it.
  const embeddable = scheme === "https" ? "Secure; SameSite=None; Partitioned" : "SameSite=Lax";
  return `${NAME}=${value}; Path=/; HttpOnly; ${embeddable}`;
}

/** The values that a client sends under the cookie's name. */
export function affinityCookieValues(header: string | null): string[] {
  if (header === null || !header.includes(NAME)) return [];
  return pairsOf(header)
    .filter(isOurs)
    .slice(0, MAX_VALUES)
    .map((pair) => pair.slice(pair.indexOf("=") + 1).trim());
}

/** A Cookie header without it; undefined where nothing is left. */
export function withoutAffinityCookie(header: string): string | undefined {
  if (!header.includes(NAME)) return header;
  const kept = pairsOf(header).filter((pair) => !isOurs(pair));
  return kept.length === 0 ? undefined : kept.join("; ");
}

/** Whether a Set-Cookie line of an app has the cookie's name. */
export function setsAffinityCookie(line: string): boolean {
  return line.includes(NAME) && isOurs(line);
}

function isOurs(pair: string): boolean {
  return pair.slice(0, pair.indexOf("=")).trim() === NAME;
}

/** RFC 6265, 4.2.1. The platform joins two lines with ", " (headers.ts). */
function pairsOf(header: string): string[] {
  return header.split(/;|, (?=[!#$%&'*+.^_`|~0-9A-Za-z-]+=)/).map((pair) => pair.trim());
}
