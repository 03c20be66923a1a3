/** How a set of parameters is called where its values would be too long. */
import { createHash } from "node:crypto";

const MAX_SHOWN_CHARACTERS = 60;

/** Its name at the gateway, which need not know the values. */
export function digestOf(set: string): string {
  return createHash("sha256").update(set).digest("base64url");
}

/** In front of a line of the log, and in lists. */
export function shown(set: string): string {
  return set.length <= MAX_SHOWN_CHARACTERS ? set : `${set.slice(0, MAX_SHOWN_CHARACTERS)}…`;
}
