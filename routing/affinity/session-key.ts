/**
 * Session keys: short texts, `name=value`, each of which names what a client's requests have in common. A key gives
 * nobody a right: a client that guesses another's key gets no more than that client's container. Pure.
 */
import { digestOfText } from "./digest.ts";

/** Of a whole key. It travels in each head and stands in tables by the hundred thousand. */
const MAX_KEY_CHARACTERS = 200;

/** Keys that one request may have; the first ones lead. */
export const MAX_KEYS = 16;

/** The claim of a known key on the place of a request. */
export type KeyHold =
  /** The container that has the session: no other one can serve it. */
  | "container"
  /** A container of the box: what the key names lies on the box's disk. */
  | "box"
  /** The container is the best one, and any other will do. */
  | "advice";

/** Keys of presets with a trait of their own. All others hold a container, and are the client's own choice. */
const TRAITS: Readonly<Record<string, { hold?: KeyHold; isHandedOut?: true }>> = {
  event_id: { isHandedOut: true },
  file: { hold: "box", isHandedOut: true },
  "mcp-session-id": { isHandedOut: true },
  "mcp-sse": { isHandedOut: true },
  sid: { isHandedOut: true },
  kernel: { isHandedOut: true },
  prompt: { hold: "advice" },
  prompt_cache_key: { hold: "advice" },
};

/** The key of a value, whatever a client put into it; undefined for an empty one. */
export function sessionKey(name: string, value: string): string | undefined {
  if (value === "") return undefined;
  const key = `${name}=${value}`;
  const isShort = key.length <= MAX_KEY_CHARACTERS && /^[!-~]+$/.test(key);
  return isShort ? key : `${name}=sha256:${digestOfText(value)}`;
}

/** The claim of a known key on its place. */
export function holdOf(key: string): KeyHold {
  return traitsOf(key).hold ?? "container";
}

/** Whether an app hands these keys out: one that nobody knows belongs to a session that is gone. */
export function isHandedOut(key: string): boolean {
  return key.startsWith("learned:") || traitsOf(key).isHandedOut === true;
}

function traitsOf(key: string): { hold?: KeyHold; isHandedOut?: true } {
  const name = key.slice(0, key.indexOf("="));
  return Object.hasOwn(TRAITS, name) ? (TRAITS[name] ?? {}) : {};
}
