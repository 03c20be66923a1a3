/**
 * The kinds of value that postern.toml knows, each with the sentence that tells what would be right.
 * A schema carries its own sentence, so that a problem deep inside a table is as clear as one on top.
 */
import * as z from "zod";

export { integer, number, seconds } from "../../routing/wire/number-schemas.ts";

export function boolean() {
  return z.boolean({ error: "must be true or false" });
}

export function text(pattern: RegExp, error: string) {
  return z.string({ error }).regex(pattern, { error });
}

export function oneOf<const Values extends readonly [string, ...string[]]>(values: Values) {
  const shown = values.map((value) => `"${value}"`).join(", ");
  return z.enum(values, { error: `must be one of ${shown}` });
}

export function list<Element extends z.ZodType>(element: Element, error: string) {
  return z.array(element, { error }).min(1, { error: `${error}; it is empty` });
}

/** The first kind that fits; `error` tells all of them. A list that is too long alone is told so. */
export function either<const Kinds extends readonly [z.ZodType, ...z.ZodType[]]>(
  kinds: Kinds,
  error: string,
) {
  return z.union(kinds, {
    error: (issue) => {
      if (issue.code !== "invalid_union") return error;
      const [tooLong] = issue.errors.flatMap(([first, ...others]) =>
        first?.code === "too_big" && first.origin === "array" && others.length === 0
          ? [first.message]
          : [],
      );
      return tooLong ?? error;
    },
  });
}

/** A table with exactly these keys. */
export function table<Shape extends z.ZodRawShape>(shape: Shape) {
  const known = Object.keys(shape).join(", ");
  return z.strictObject(shape, {
    error: (issue) =>
      issue.code === "unrecognized_keys"
        ? `unknown key; known are ${known}`
        : `must be a table with the keys ${known}`,
  });
}

/** A table with keys of the user's choice. */
export function tableOf<Value extends z.ZodType>(
  key: z.ZodType<string, string>,
  value: Value,
  error: string,
) {
  return z.record(key, value, {
    // A key of the wrong form is reported by the record; its own sentence is the useful one.
    error: (issue) => (issue.code === "invalid_key" ? issue.issues[0]?.message : error),
  });
}

/** Names that URLs are made of, which drop everything but letters, digits and dashes inside. */
export function nameInUrl() {
  return inUrl(name());
}

/** A function's name, which may have a class's in it. */
export function functionName() {
  return inUrl(name(128));
}

function inUrl(text: z.ZodString) {
  const error = "must have a letter or digit, since it becomes a part of URLs";
  return text.regex(/[A-Za-z0-9]/, { error });
}

/** App, environment, box and secret names. */
export function name(longest = 64) {
  return text(
    new RegExp(`^[A-Za-z0-9._-]{1,${longest}}$`),
    `must be 1 to ${longest} ASCII letters, digits, dashes, dots and underscores, such as "chat"`,
  );
}

export function httpUrl(error = 'must be an http or https URL, such as "https://example.com/"') {
  return z.string({ error }).refine(isHttpUrl, { error });
}

function isHttpUrl(value: string): boolean {
  const url = URL.canParse(value) ? new URL(value) : undefined;
  return url !== undefined && (url.protocol === "http:" || url.protocol === "https:");
}

/** Scheme, host and port of a running server; anything after them would be dropped unnoticed. */
export function originUrl() {
  const error = 'must be the server\'s scheme, host and port, such as "http://127.0.0.1:8000"';
  return httpUrl(error).refine((value) => isBareOrigin(value), { error });
}

function isBareOrigin(value: string): boolean {
  if (!URL.canParse(value)) return false;
  const { username, password, pathname, search, hash } = new URL(value);
  return username + password + search + hash === "" && pathname === "/";
}

export function path() {
  return text(/^\/[!-~]*$/, 'must be a path of printable ASCII that starts with "/"');
}
