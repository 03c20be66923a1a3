/**
 * The shape of an error response of Postern's own, by the request's Accept header (RFC 9110, 12.5.1): a
 * problem document for programs, a page for people, one line of text for all other clients. Pure.
 */

export type ProblemShape = "document" | "page" | "line";

/**
 * A page where the header names HTML, and JSON neither with the same weight nor, by a wildcard, with more. A
 * document where the header names or allows JSON, or is missing. A line where it allows neither.
 */
export function problemShape(accept: string | null): ProblemShape {
  if (accept === null || accept.trim() === "" || accept.trim() === "*/*") return "document";
  const weights = weigh(accept);
  const json = weights.json ?? weights.anyApplication ?? weights.any ?? 0;
  const html = weights.html ?? 0;
  if (html > 0 && html >= json && html > (weights.json ?? 0)) return "page";
  return json > 0 ? "document" : "line";
}

interface Weights {
  json?: number;
  html?: number;
  anyApplication?: number;
  any?: number;
}

/** The largest weight of each kind of media range; undefined where the header names none. */
function weigh(accept: string): Weights {
  const weights: Weights = {};
  for (const element of accept.toLowerCase().split(",")) {
    const [range = "", ...parameters] = element.split(";");
    const kind = kindOf(range.trim());
    if (kind !== undefined) weights[kind] = Math.max(weights[kind] ?? 0, quality(parameters));
  }
  return weights;
}

function kindOf(range: string): keyof Weights | undefined {
  switch (range) {
    case "*/*":
      return "any";
    case "application/*":
      return "anyApplication";
    case "application/json":
      return "json";
    case "text/html":
    case "application/xhtml+xml":
      return "html";
    default:
      return range.endsWith("+json") ? "json" : undefined;
  }
}

/** RFC 9110, 12.4.2: 0 to 1, by default 1, which a malformed weight counts as too. */
function quality(parameters: readonly string[]): number {
  for (const parameter of parameters) {
    const [name, value = ""] = parameter.split("=");
    if (name?.trim() !== "q") continue;
    const weight = Number(value.trim() === "" ? Number.NaN : value);
    return weight >= 0 && weight <= 1 ? weight : 1;
  }
  return 1;
}

/** Media ranges past these characters of an Accept field are not looked at: no client that we know sends so many. */
const MAX_ACCEPT_CHARACTERS = 1_024;

/** The media types that an Accept field names, but for those with a weight of 0 (RFC 9110, 12.5.1). */
export function acceptedTypes(accept: string | null): ReadonlySet<string> {
  const types = new Set<string>();
  for (const element of (accept ?? "").slice(0, MAX_ACCEPT_CHARACTERS).toLowerCase().split(",")) {
    const [type = "", ...parameters] = element.split(";");
    if (quality(parameters) > 0) types.add(type.trim());
  }
  return types;
}

/** Whether a Content-Type is that of JSON. */
export function isJson(contentType: string | null): boolean {
  const [type = ""] = (contentType ?? "").split(";", 1);
  return type.trim().toLowerCase() === "application/json";
}
