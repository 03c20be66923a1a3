/**
 * Which shape an answer of the gateway's own takes, by the request's Accept header (RFC 9110, 12.5.1):
 * a problem document for programs, a page for people, one line of text for everybody else.
 */

export type AnswerShape = "problem" | "html" | "text";

/**
 * A page where HTML is named, and JSON neither named with at least the same weight nor allowed with more; a
 * problem document where JSON is named or allowed by a wildcard, or nothing is said; text for whoever accepts
 * neither.
 */
export function answerShape(accept: string | null): AnswerShape {
  if (accept === null || accept.trim() === "" || accept.trim() === "*/*") return "problem";
  const weights = weigh(accept);
  const json = weights.json ?? weights.anyApplication ?? weights.any ?? 0;
  const html = weights.html ?? 0;
  if (html > 0 && html >= json && html > (weights.json ?? 0)) return "html";
  return json > 0 ? "problem" : "text";
}

interface Weights {
  json?: number;
  html?: number;
  anyApplication?: number;
  any?: number;
}

/** The largest weight of each kind of media range; undefined where none was named. */
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

/** RFC 9110, 12.4.2: 0 to 1, by default 1. A malformed weight counts as none given. */
function quality(parameters: readonly string[]): number {
  for (const parameter of parameters) {
    const [name, value = ""] = parameter.split("=");
    if (name?.trim() !== "q") continue;
    const weight = Number(value.trim() === "" ? Number.NaN : value);
    return weight >= 0 && weight <= 1 ? weight : 1;
  }
  return 1;
}
