/** Keys of sessions may be secrets of clients: nobody reads them from the disk, and only the last agent's are believed. */
import { createCipheriv, createHmac } from "node:crypto";
import { expect, test } from "vitest";
import { newSealKey } from "../../../origin-gpu/containers/left-variables.ts";
import { openSessions, sealSessions } from "../../../origin-gpu/containers/sealed-sessions.ts";

const KEY = newSealKey();
const SESSIONS = {
  sessions: [{ idleMs: 5, keys: ["learned:cookie:login=a-secret", 'x-session="ü'] }],
  ofTheBox: ["file=0a"],
};

/** The bytes with one of them changed. */
function changed(sealed: string, at: number): string {
  const bytes = Buffer.from(sealed, "base64url");
  bytes[at] = (bytes[at] ?? 0) ^ 1;
  return bytes.toString("base64url");
}

test("are read with the key of their seal, and with no other one", () => {
  const sealed = sealSessions(SESSIONS, KEY);
  expect(openSessions(sealed, KEY)).toEqual(SESSIONS);
  expect(openSessions(sealed, newSealKey())).toBeUndefined();
  expect(Buffer.from(sealed, "base64url").includes("a-secret")).toBe(false);
  expect(sealSessions(SESSIONS, KEY)).not.toBe(sealed);
});

test("are none where a byte was changed, is missing or was added", () => {
  const sealed = sealSessions(SESSIONS, KEY);
  const length = Buffer.from(sealed, "base64url").length;
  for (let at = 0; at < length; at += 1) {
    expect(openSessions(changed(sealed, at), KEY)).toBeUndefined();
    const cut = Buffer.from(sealed, "base64url").subarray(0, at).toString("base64url");
    expect(openSessions(cut, KEY)).toBeUndefined();
  }
  expect(openSessions(`${sealed}AAAA`, KEY)).toBeUndefined();
});

test.each([
  ["no JSON", "{"],
  ["another form", '{"sessions":[["a"]],"ofTheBox":[]}'],
  ["a key that is no text", '{"sessions":[{"idleMs":0,"keys":[1]}],"ofTheBox":[]}'],
  ["a key that is longer than any", `{"sessions":[],"ofTheBox":["${"a".repeat(1_000)}"]}`],
  ["a time that is not over", '{"sessions":[{"idleMs":-1,"keys":["a"]}],"ofTheBox":[]}'],
])("of another Postern are none: %s", (_what, text) => {
  const nonce = Buffer.alloc(12);
  const cipherKey = createHmac("sha256", KEY).update("sessions").digest();
  const cipher = createCipheriv("aes-256-gcm", cipherKey, nonce);
  const bytes = [nonce, cipher.update(text), cipher.final(), cipher.getAuthTag()];
  expect(openSessions(Buffer.concat(bytes).toString("base64url"), KEY)).toBeUndefined();
});
