/**
 * The key of a conversation with a language model: the one that the client chose, else a
 * digest of how the conversation begins. A server that has computed the beginning has it in its cache. Pure.
 */
import { digestOfText } from "./digest.ts";
import { sessionKey } from "./session-key.ts";
import { memberOf } from "./values.ts";

/** Characters of each part that are looked at: a cache that has so many in common has most of it. */
const MAX_PART_CHARACTERS = 8_192;

/** A bare prompt has no first message: its first characters are one, unless it may still grow into them. */
const PROMPT_CHARACTERS = 512;

/** The key of an OpenAI-style or Anthropic-style body; undefined where nothing in it says what it begins with. */
export function promptKey(body: unknown, caller: () => string): string | undefined {
  const given = memberOf(body, "prompt_cache_key");
  if (typeof given === "string") return sessionKey("prompt_cache_key", given);
  const beginning = beginningOf(body);
  if (beginning === undefined) return undefined;
  const parts = [memberOf(body, "model"), memberOf(body, "tools"), ...beginning].map(partOf);
  return sessionKey("prompt", digestOfText(JSON.stringify([caller(), ...parts])));
}

/** System prompt and first message of the user. */
function beginningOf(body: unknown): unknown[] | undefined {
  const input = memberOf(body, "input");
  const messages = memberOf(body, "messages") ?? (Array.isArray(input) ? input : undefined);
  const system = memberOf(body, "system") ?? memberOf(body, "instructions");
  if (Array.isArray(messages)) {
    const first = messages.findIndex((message) => memberOf(message, "role") === "user");
    return first === -1 ? undefined : [system, messages.slice(0, first + 1)];
  }
  if (typeof input === "string") return [system, input];
  const prompt = memberOf(body, "prompt");
  if (typeof prompt !== "string" || prompt.length < PROMPT_CHARACTERS) return undefined;
  return [prompt.slice(0, PROMPT_CHARACTERS)];
}

function partOf(value: unknown): string {
  const text = typeof value === "string" ? value : (JSON.stringify(value) ?? "");
  return text.slice(0, MAX_PART_CHARACTERS);
}
