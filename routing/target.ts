/**
 * The request's target as the client sent it: path and query, raw. workerd joins `request.url` from "http://", the
 * raw Host header and the raw path: an absolute-form target gives its path alone, and a fragment is cut off. It
 * decodes nothing and resolves no dot segments. `new URL` would do both, and the app would see another path than
 * the code that decides; so the URL is cut by hand. Pure.
 */

/** Characters; longer targets are refused. Servers take 64 KiB of head at most, headers included. */
const MAX_TARGET_LENGTH = 32 * 1024;

/**
 * Path and query of a `request.url` whose host `parseHost` has accepted. Undefined where the target is too long, or
 * has no path (`OPTIONS *` gives `http://host*`).
 */
export function rawTarget(url: string): string | undefined {
  const slash = url.indexOf("/", url.indexOf("://") + 3);
  return slash === -1 || url.length - slash > MAX_TARGET_LENGTH ? undefined : url.slice(slash);
}
