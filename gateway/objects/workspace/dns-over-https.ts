/**
 * Asks a resolver over HTTPS (RFC 8484) for a name's TXT records. The answer is bounded in time and size, and
 * everything but a right answer is none: a resolver's trouble proves nothing.
 */
import { within } from "../../../base/runtime/within.ts";
import { parseTxtAnswer, txtQuestion } from "../../../routing/dns-message.ts";

/** A resolver of the public Internet, where the operator names none. */
export const DEFAULT_RESOLVER = "https://cloudflare-dns.com/dns-query";

/** Until the whole answer is there. */
const ANSWER_TIMEOUT_MS = 5_000;

/** Larger than any DNS message that a resolver sends for one name. */
const MAX_ANSWER_BYTES = 65_535;

const TRIES = 2;

export type Fetch = (url: string, init: RequestInit) => Promise<Response>;

/** The texts that DNS has, or why it gave no answer, as a part of a sentence. */
export type TxtLookup = { readonly texts: readonly string[] } | { readonly unanswered: string };

/** Looks a name's TXT records up, twice where the first try brings no answer. */
export async function lookUpTxt(fetch: Fetch, resolver: string, name: string): Promise<TxtLookup> {
  let found = await ask(fetch, resolver, name);
  for (let tried = 1; tried < TRIES && "unanswered" in found; tried++) {
    found = await ask(fetch, resolver, name);
  }
  return found;
}

async function ask(fetch: Fetch, resolver: string, name: string): Promise<TxtLookup> {
  const cut = new AbortController();
  const asked = answerTo(fetch, resolver, name, cut.signal).catch((): TxtLookup => ({
    unanswered: "could not be reached",
  }));
  const answer = await within(ANSWER_TIMEOUT_MS, asked);
  if (answer === undefined) cut.abort();
  return answer ?? { unanswered: `did not answer within ${ANSWER_TIMEOUT_MS / 1_000} s` };
}

async function answerTo(
  fetch: Fetch,
  resolver: string,
  name: string,
  signal: AbortSignal,
): Promise<TxtLookup> {
  const response = await fetch(resolver, {
    method: "POST",
    headers: { accept: DNS_MESSAGE, "content-type": DNS_MESSAGE },
    body: txtQuestion(name),
    redirect: "manual",
    signal,
  });
  const type = response.headers.get("content-type") ?? "";
  if (response.status !== 200 || !type.startsWith(DNS_MESSAGE)) {
    await response.body?.cancel();
    return { unanswered: `answered with status ${response.status} and no DNS message` };
  }
  const bytes = await boundedBytes(response);
  if (bytes === undefined) return { unanswered: "answered with more than a DNS message" };
  const answer = parseTxtAnswer(bytes, name);
  if (!answer.ok) return { unanswered: `answered with no right DNS message: ${answer.error}` };
  if (answer.value.kind === "failure") {
    return { unanswered: `could not find out (DNS code ${answer.value.rcode})` };
  }
  return { texts: answer.value.texts };
}

/** RFC 8484, 6. */
const DNS_MESSAGE = "application/dns-message";

/** A body's bytes; undefined where there are too many. */
async function boundedBytes({ body }: Response): Promise<Uint8Array | undefined> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  if (body !== null) {
    const reader = (body as ReadableStream<Uint8Array>).getReader();
    for (;;) {
      const { value } = await reader.read();
      if (value === undefined) break;
      length += value.length;
      if (length > MAX_ANSWER_BYTES) {
        await reader.cancel();
        return undefined;
      }
      chunks.push(value);
    }
  }
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  return bytes;
}
