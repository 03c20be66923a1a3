/**
 * Seals the sessions of a container that is left to the next agent. A session's key may be a secret of its client, such as
 * the cookie of an app: it goes to the disk encrypted, by a key that only the container's supervisor has.
 */
import { createCipheriv, createDecipheriv, createHmac, randomBytes } from "node:crypto";
import { z } from "zod";
import { SESSION_KEY } from "../../routing/wire/sessions.ts";
import type { LeftSessions } from "../core/left-sessions.ts";

const CIPHER = "aes-256-gcm";
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

const SESSIONS = z.object({
  sessions: z.array(z.object({ idleMs: z.number().nonnegative(), keys: z.array(SESSION_KEY) })),
  ofTheBox: z.array(SESSION_KEY),
});

/** @param key as in left-variables.ts */
export function sealSessions(sessions: LeftSessions, key: string): string {
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv(CIPHER, cipherKey(key), nonce, { authTagLength: TAG_BYTES });
  const text = [cipher.update(JSON.stringify(sessions), "utf8"), cipher.final()];
  return Buffer.concat([nonce, ...text, cipher.getAuthTag()]).toString("base64url");
}

/** @returns undefined for a text that was sealed by another key, was changed, or is another Postern's */
export function openSessions(sealed: string, key: string): LeftSessions | undefined {
  const bytes = Buffer.from(sealed, "base64url");
  const nonce = bytes.subarray(0, NONCE_BYTES);
  const text = bytes.subarray(NONCE_BYTES, -TAG_BYTES);
  try {
    const cipher = createDecipheriv(CIPHER, cipherKey(key), nonce, { authTagLength: TAG_BYTES });
    cipher.setAuthTag(bytes.subarray(-TAG_BYTES));
    const opened = Buffer.concat([cipher.update(text), cipher.final()]);
    return SESSIONS.safeParse(JSON.parse(opened.toString())).data;
  } catch {
    return undefined;
  }
}

/** Another one than that of the variables' seals, as each of them is the HMAC of a text with `=`. */
function cipherKey(key: string): Buffer {
  return createHmac("sha256", key).update("sessions").digest();
}
