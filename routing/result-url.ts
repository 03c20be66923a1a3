/**
 * Result URLs: the original target with one more query parameter. Around that parameter a target stays as the
 * client sent it, byte for byte. Pure.
 */

/** Names the parameter that makes a target a result URL. */
const RESULT_PARAMETER = "__postern_call";
/** The same for the call's status events. */
const EVENTS_PARAMETER = "__postern_events";

export interface ResultTarget {
  kind: "result" | "events";
  token: string;
  /** The original target. */
  target: string;
}

/** Parses a result URL's target; undefined for any other target. */
export function parseResultTarget(target: string): ResultTarget | undefined {
  // Nearly every target ends here.
  if (!target.includes("__postern_")) return undefined;
  const question = target.indexOf("?");
  if (question === -1) return undefined;
  const others: string[] = [];
  let found: { kind: "result" | "events"; token: string } | undefined;
  for (const pair of target.slice(question + 1).split("&")) {
    const kind = kindOf(pair);
    // The first one counts. A second one is dropped too: no app may see a token.
    if (kind === undefined) others.push(pair);
    else found ??= { kind, token: pair.slice(pair.indexOf("=") + 1) };
  }
  if (found === undefined) return undefined;
  const path = target.slice(0, question);
  return { ...found, target: others.length === 0 ? path : `${path}?${others.join("&")}` };
}

/** The result URL of a target, or the URL of its status events, as path and query. */
export function resultTarget(
  target: string,
  token: string,
  kind: "result" | "events" = "result",
): string {
  const name = kind === "result" ? RESULT_PARAMETER : EVENTS_PARAMETER;
  return `${target}${target.includes("?") ? "&" : "?"}${name}=${token}`;
}

/**
 * A target as a reference for `Location`, by path and query alone. Two slashes at its start would name another
 * host (RFC 3986, 4.2); browsers take a slash and a backslash for two slashes. A dot segment before them names
 * no host.
 */
export function pathReference(target: string): string {
  return /^\/[/\\]/.test(target) ? `/.${target}` : target;
}

function kindOf(pair: string): "result" | "events" | undefined {
  if (pair.startsWith(`${RESULT_PARAMETER}=`)) return "result";
  if (pair.startsWith(`${EVENTS_PARAMETER}=`)) return "events";
  return undefined;
}
