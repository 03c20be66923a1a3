/**
 * The request's target as the client sent it: path and query, raw. workerd puts `request.url` together
 * from "http://", the raw Host header and the raw path (of an absolute-form target its path alone, of any
 * target all up to a fragment), decodes nothing and resolves no dot segments. `new URL` would do both, so
 * that whoever decides and the app would see different paths; hence the cut by hand.
 */

/** Characters; longer ones are refused. Servers behind us take 64 KiB of head at most, headers included. */
const MAX_TARGET_LENGTH = 32 * 1024;

/**
 * Path and query of a `request.url` whose host `parseHost` has accepted, or undefined when the target has
 * no path (`OPTIONS *` shows as `http://host*`) or is too long.
 */
export function rawTarget(url: string): string | undefined {
  const slash = url.indexOf("/", url.indexOf("://") + 3);
  return slash === -1 || url.length - slash > MAX_TARGET_LENGTH ? undefined : url.slice(slash);
}
