/** The sessions of an endpoint with affinity, as gateway and agent tell each other of them. Their keys say nothing here. */
import * as z from "zod";
import { CONTAINER_ID_FORM } from "./container-logs.ts";

/** A key is `<rule>=<value>`; the gateway hashes one that is longer. */
const MAX_SESSION_KEY_CHARACTERS = 256;

/** A request has a key for each rule of its endpoint that finds one. */
const MAX_SESSION_KEYS = 32;

/** A request's session. */
export interface RequestSession {
  /** In the order of the endpoint's rules. */
  readonly keys: readonly string[];
  /** The container that the client's signed cookie names. */
  readonly container?: string;
}

/**
 * The session's container was known (`kept`), was chosen now (`new`), or was chosen now because its former one is gone
 * (`moved`).
 */
export type SessionState = "kept" | "new" | "moved";

/** The session's place, of a response. */
export interface ResponseSession {
  readonly container: string;
  readonly state: SessionState;
}

const ENDPOINT_ID = z.string().max(512);

export const SESSION_KEY = z.string().min(1).max(MAX_SESSION_KEY_CHARACTERS);

const SESSION_KEYS = z.array(SESSION_KEY).min(1).max(MAX_SESSION_KEYS);

export const SESSION_QUERY = z.object({ endpoint: ENDPOINT_ID, keys: SESSION_KEYS });

export const SESSION_FOUND = z.object({ found: z.boolean() });

/** The box that the session is to be placed on. */
const BOX_NAME = z.string().min(1).max(64);

export const SESSION_CLAIM = SESSION_QUERY.extend({ box: BOX_NAME });

/** The box of the first claim. */
export const SESSION_CLAIMED = z.object({ box: BOX_NAME });

/** Written by hand, as the heads that have it are parsed. */
export function isRequestSession(value: unknown): value is RequestSession {
  if (typeof value !== "object" || value === null) return false;
  const { keys, container } = value as Partial<Record<keyof RequestSession, unknown>>;
  if (!Array.isArray(keys) || keys.length > MAX_SESSION_KEYS) return false;
  return keys.every(isKey) && (container === undefined || isContainer(container));
}

/** The same of a response's. */
export function isResponseSession(value: unknown): value is ResponseSession {
  if (typeof value !== "object" || value === null) return false;
  const { container, state } = value as Partial<Record<keyof ResponseSession, unknown>>;
  return isContainer(container) && (state === "kept" || state === "new" || state === "moved");
}

function isKey(value: unknown): boolean {
  return (
    typeof value === "string" && value.length > 0 && value.length <= MAX_SESSION_KEY_CHARACTERS
  );
}

function isContainer(value: unknown): boolean {
  return typeof value === "string" && CONTAINER_ID_FORM.test(value);
}
