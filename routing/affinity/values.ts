/** Reads values out of requests and responses: targets, cookies and JSON of which nothing may be believed. Pure. */

/** Values past this length are no ids; what has them carries none. */
const MAX_VALUE_CHARACTERS = 4_096;

/** Files that one body may name. */
const MAX_FILES = 8;

/** Parts of a path that may be ids: the last ones. */
const MAX_PARTS = 32;

/** The path of a target, decoded part by part. */
export function pathOf(target: string): string {
  const [path = ""] = target.split("?", 1);
  return path.includes("%") ? path.split("/").map(decoded).join("/") : path;
}

/** The first value of a query parameter. */
export function queryValue(target: string, name: string): string | undefined {
  let at = target.indexOf("?");
  while (at !== -1) {
    const next = target.indexOf("&", at + 1);
    const pair = target.slice(at + 1, next === -1 ? undefined : next);
    at = next;
    const equals = pair.indexOf("=");
    if (equals === -1) continue;
    const given = pair.slice(0, equals);
    if (given !== name && (!given.includes("%") || decoded(given) !== name)) continue;
    return bounded(decoded(pair.slice(equals + 1).replaceAll("+", " ")));
  }
  return undefined;
}

/** The value of a cookie in a Cookie header (RFC 6265, 4.2.1). */
export function cookieValue(header: string | null | undefined, name: string): string | undefined {
  if (header === null || header === undefined) return undefined;
  // The platform joins two lines with ", ".
  for (const pair of header.split(/; ?|, (?=[!#$%&'*+.^_`|~0-9A-Za-z-]+=)/)) {
    const equals = pair.indexOf("=");
    if (equals !== -1 && pair.slice(0, equals).trim() === name) {
      return bounded(pair.slice(equals + 1).trim());
    }
  }
  return undefined;
}

/** JSON, where it is any. */
export function parsedJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

/** A member of a JSON object as text; a dot leads into an object. Texts and whole numbers are ids. */
export function memberText(value: unknown, path: string): string | undefined {
  let found: unknown = value;
  for (const name of path.split(".")) found = memberOf(found, name);
  if (typeof found === "string") return bounded(found);
  return Number.isSafeInteger(found) ? `${found as number}` : undefined;
}

/** A member of a JSON object; undefined for anything else. */
export function memberOf(value: unknown, name: string): unknown {
  if (typeof value !== "object" || value === null || !Object.hasOwn(value, name)) return undefined;
  return (value as Record<string, unknown>)[name];
}

/** Parts of a path that look like ids: letters and digits, 16 to 128 of them. The last two count. */
export function idsInPath(path: string): string[] {
  return path
    .split("/")
    .slice(-MAX_PARTS)
    .filter((part) => /^[\w-]{16,128}$/.test(part) && /\d/.test(part))
    .slice(-2);
}

/** Names of the folders in which Gradio keeps uploaded files: the hash of seed and content, of SHA-1 before 4.0. */
export function fileFolders(text: string): string[] {
  if (text === "") return [];
  const folders = new Set<string>();
  for (const [, folder] of text.matchAll(/[/\\]([0-9a-f]{64}|[0-9a-f]{40})(?=[/\\])/g)) {
    if (folder !== undefined) folders.add(folder);
    if (folders.size === MAX_FILES) break;
  }
  return [...folders];
}

/** The folder of the file that a path of Gradio's names: `/file=<path>`, or `/file/<path>` before 4.0. */
export function folderOfFile(path: string): string | undefined {
  const at = path.search(/\/file[=/]/);
  return at === -1 ? undefined : fileFolders(path.slice(at))[0];
}

/** Whether a content type is JSON's (RFC 6839, 3.1), and the content as it is. */
export function isPlainJson(
  type: string | null | undefined,
  coding: string | null | undefined,
): boolean {
  if (!isUncoded(coding)) return false;
  return /^\s*application\/(?:[\w.-]+\+)?json\s*(?:;|$)/i.test(type ?? "");
}

export function isUncoded(coding: string | null | undefined): boolean {
  return coding === null || coding === undefined || coding.trim().toLowerCase() === "identity";
}

/** A value whose escapes are wrong stands as it is. */
function decoded(text: string): string {
  if (!text.includes("%")) return text;
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function bounded(value: string): string | undefined {
  return value.length <= MAX_VALUE_CHARACTERS ? value : undefined;
}
