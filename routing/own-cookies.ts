/** Cookies of the gateway's own among those of an app: how they are read, and taken out of what the app gets. Pure. */

/** Values of one cookie that are looked at: a neighbour's page can add some for the whole base domain. */
const MAX_VALUES = 4;

/** The values that a client sends under a cookie's name. */
export function cookieValues(header: string | null, name: string): string[] {
  if (header === null || !header.includes(name)) return [];
  return pairsOf(header)
    .filter((pair) => nameOf(pair) === name)
    .slice(0, MAX_VALUES)
    .map((pair) => pair.slice(pair.indexOf("=") + 1).trim());
}

/** A Cookie header without the cookies of these names; undefined where nothing is left. */
export function withoutCookies(header: string, names: readonly string[]): string | undefined {
  if (!names.some((name) => header.includes(name))) return header;
  const kept = pairsOf(header).filter((pair) => !names.includes(nameOf(pair)));
  return kept.length === 0 ? undefined : kept.join("; ");
}

/** Whether a Set-Cookie line sets a cookie of one of these names. */
export function setsCookie(line: string, names: readonly string[]): boolean {
  return names.some((name) => line.includes(name)) && names.includes(nameOf(line));
}

function nameOf(pair: string): string {
  return pair.slice(0, pair.indexOf("=")).trim();
}

/** RFC 6265, 4.2.1. The platform joins two lines with ", " (headers.ts). */
function pairsOf(header: string): string[] {
  return header.split(/;|, (?=[!#$%&'*+.^_`|~0-9A-Za-z-]+=)/).map((pair) => pair.trim());
}
