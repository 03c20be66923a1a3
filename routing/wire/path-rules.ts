/**
 * Which paths of an app may be asked for. The app decides how a target is read: it may decode it, resolve dot segments,
 * merge slashes, or ignore case and path parameters. So a target is judged by each reading that a server is known to
 * make of it. One reading is enough for a denied path, and an allowed path needs all of them. Pure.
 */
import * as z from "zod";

/** Of one list. */
export const MAX_PATTERNS = 100;
export const MAX_PATTERN_CHARACTERS = 256;

/** Characters of a segment that every server reads alike, but for the dot. */
const PLAIN = "A-Za-z0-9_~!$&'()+=:@-";

/** Neither empty nor a dot segment. */
const SEGMENT = String.raw`(?:[${PLAIN}][.${PLAIN}]*|\.[${PLAIN}][.${PLAIN}]*|\.\.[.${PLAIN}]+)`;

/** A path that has one reading; a `*` at its end stands for the rest. Spelt for every dialect of regular expressions. */
export const PATH_PATTERN = new RegExp(String.raw`^\/(?:${SEGMENT}\/)*(?:${SEGMENT})?\*?$`);

/** Words for the author of a wrong one. */
export const PATH_PATTERN_RULE =
  'must be a path as the app knows it, such as "/metrics" or "/v1/*": nothing encoded in it, no empty segment, no "." or ".."';

/** A target's path that may have several readings. */
const ODD_PATH = new RegExp(String.raw`\/\/|\/\.|[^/.,*${PLAIN}]`);

const PATTERN = z.string().max(MAX_PATTERN_CHARACTERS).regex(PATH_PATTERN, PATH_PATTERN_RULE);

/** The paths of an endpoint that callers may ask for: those that are allowed, without those that are denied. */
export const PATH_RULES = z.object({
  /** Absent: every path. */
  allow: z.array(PATTERN).min(1).max(MAX_PATTERNS).exactOptional(),
  /** Each with the paths below it. */
  deny: z.array(PATTERN).min(1).max(MAX_PATTERNS).exactOptional(),
});

export type PathRules = z.output<typeof PATH_RULES>;

/** Rounds of decoding. No app decodes as often, and a path that needs more is refused where there are rules. */
const MAX_DECODINGS = 4;

/** A path with more of them is refused where there are rules. */
const MAX_READINGS = 400;

/** Characters of a path that needs a second look, so that this look costs little. */
const MAX_ODD_PATH_CHARACTERS = 8192;

/** Whether the rules let a target, with its query, reach the app. */
export function passesPathRules({ allow, deny }: PathRules, target: string): boolean {
  if (allow !== undefined && !isAllowedPath(allow, target)) return false;
  return deny === undefined || !isDeniedPath(deny, target);
}

/** Whether every reading of a target is of one of these paths. */
export function isAllowedPath(patterns: readonly string[], target: string): boolean {
  const readings = readingsOf(target);
  return (
    readings !== undefined &&
    readings.every((path) => patterns.some((pattern) => isOf(path, pattern)))
  );
}

/** Whether a reading of a target is of one of these paths or below one, in any case. */
function isDeniedPath(patterns: readonly string[], target: string): boolean {
  const readings = readingsOf(target);
  if (readings === undefined) return true;
  return readings
    .map(folded)
    .some((path) => patterns.some((pattern) => isOfOrBelow(path, pattern.toLowerCase())));
}

function isOf(path: string, pattern: string): boolean {
  return pattern.endsWith("*") ? path.startsWith(pattern.slice(0, -1)) : path === pattern;
}

function isOfOrBelow(path: string, pattern: string): boolean {
  if (isOf(path, pattern)) return true;
  const parent = pattern.replace(/\/$/, "");
  return parent !== "" && (path === parent || path.startsWith(`${parent}/`));
}

/** The readings of a target's path; undefined where it has too many to look at. */
function readingsOf(target: string): readonly string[] | undefined {
  const [path = ""] = target.split("?", 1);
  // Nearly every target ends here.
  if (!ODD_PATH.test(path)) return [path];
  if (path.length > MAX_ODD_PATH_CHARACTERS) return undefined;
  // A server may drop a part or resolve dots before it decodes, between two decodings, and behind them.
  const readings = new Set([path]);
  let fresh: readonly string[] = [path];
  for (let decodings = 0; fresh.length > 0; decodings += 1) {
    const found = new Set(fresh);
    for (const text of fresh) for (const form of normalFormsOf(text)) found.add(form);
    if (readings.size + found.size > MAX_READINGS) return undefined;
    const decoded = new Set<string>();
    for (const text of found) {
      readings.add(text);
      decoded.add(decodedOnce(text));
    }
    fresh = [...decoded].filter((text) => !readings.has(text));
    if (fresh.length > 0 && decodings === MAX_DECODINGS) return undefined;
  }
  return [...readings];
}

/** Control characters and blanks. */
// oxlint-disable-next-line no-control-regex -- these are what is asked for
const INVISIBLE = /[\0-\x20\x7f]/g;

/** The paths that servers make of a decoded path without decoding it further. */
function normalFormsOf(text: string): string[] {
  // URL parsers take a backslash for a slash, and drop tabs and line breaks; a regular expression's `$` stands before
  // a line break at the end, so that `/sleep%0A` is `/sleep` to Starlette.
  const path = text.replaceAll("\\", "/");
  const forms = new Set<string>();
  // Servlet containers drop `;…` from each segment; others end the path there, or at what was an encoded `?`, `#` or NUL.
  for (const form of [path, path.replaceAll(/;[^/]*/g, ""), path.split(/[;?#\0]/, 1)[0] ?? ""]) {
    const visible = form.replaceAll(INVISIBLE, "");
    forms.add(visible);
    // A URL parser takes what follows two slashes for a host (RFC 3986, 4.2).
    if (visible.startsWith("//")) forms.add(visible.replace(/^\/+[^/]*/, "") || "/");
  }
  return [...forms].flatMap((form) => {
    const merged = form.replaceAll(/\/{2,}/g, "/");
    return [merged, withoutDots(merged), withoutDots(form).replaceAll(/\/{2,}/g, "/")];
  });
}

/** RFC 3986, 5.2.4. */
function withoutDots(path: string): string {
  if (!path.includes("/.")) return path;
  const kept: string[] = [];
  const segments = path.split("/").slice(1);
  for (const segment of segments) {
    if (segment === "..") kept.pop();
    else if (segment !== ".") kept.push(segment);
  }
  const last = segments.at(-1);
  if (last === "." || last === "..") kept.push("");
  return `/${kept.join("/")}`;
}

/** One round of percent-decoding, a byte a character. IIS knows `%u0073`, and old decoders overlong UTF-8. */
function decodedOnce(text: string): string {
  return text
    .replaceAll(/%u00([0-9a-f]{2})|%([0-9a-f]{2})/gi, (_, unicode?: string, byte?: string) =>
      String.fromCharCode(Number.parseInt(unicode ?? byte ?? "", 16)),
    )
    .replaceAll(/[\xc0\xc1][\x80-\xbf]/g, (pair) =>
      String.fromCharCode(((pair.charCodeAt(0) & 0x01) << 6) | (pair.charCodeAt(1) & 0x3f)),
    );
}

/** In the form in which letters of different case or width are equal. */
function folded(path: string): string {
  const codes = Array.from(path, (character) => character.codePointAt(0) ?? 0);
  const highest = Math.max(0, ...codes);
  if (highest < 0x80) return path.toLowerCase();
  // Decoded bytes; other characters stood in the target themselves.
  const text = highest > 0xff ? path : new TextDecoder().decode(Uint8Array.from(codes));
  return text.normalize("NFKC").toUpperCase().toLowerCase();
}
