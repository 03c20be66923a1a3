/** The problems of one key's value, out of what its schema found. */
import type * as z from "zod";

import type { KeyPath } from "./key-lines.ts";

/**
 * Splits an issue into one for each place: unknown keys one by one. Of a union, the issues are those of the member
 * that the value was meant to be.
 */
export function problemsIn(issue: z.core.$ZodIssue): readonly z.core.$ZodIssue[] {
  if (issue.code === "unrecognized_keys") {
    return issue.keys.map((key) => movedTo([...issue.path, key], issue));
  }
  if (issue.code !== "invalid_union") return [issue];
  const meant = issue.errors.find((kind) =>
    kind.some(({ code, path }) => path.length > 0 || code === "unrecognized_keys"),
  );
  if (meant === undefined) return [issue];
  return meant.flatMap((inner) => problemsIn(movedTo([...issue.path, ...inner.path], inner)));
}

function movedTo(path: PropertyKey[], issue: z.core.$ZodIssue): z.core.$ZodIssue {
  return { ...issue, path };
}

/** @param path of keys and indices */
export function valueAt(value: unknown, path: KeyPath): unknown {
  let inside = value;
  for (const part of path) {
    if (typeof inside !== "object" || inside === null) return undefined;
    inside = (inside as Record<string | number, unknown>)[part];
  }
  return inside;
}
