/**
 * Asks a resolver over HTTPS (RFC 8484) for a name's records. The answer is bounded in time and size, and
 * everything but a right answer is none: a resolver's trouble proves nothing.
 */
import { within } from "../../../base/runtime/within.ts";
import { dnsQuestion, parseDnsAnswer, type RecordType } from "../../../routing/dns-message.ts";

/** A resolver of the public Internet, where the operator names none. */
export const DEFAULT_RESOLVER = "https://cloudflare-dns.com/dns-query";

/** Until the whole answer is there. */
const ANSWER_TIMEOUT_MS = 5_000;

/** Larger than any DNS message that a resolver sends for one name. */
const MAX_ANSWER_BYTES = 65_535;

const TRIES = 2;

export type Fetch = (url: string, init: RequestInit) => Promise<Response>;

/** A name and the type of its records that are wanted. */
export interface DnsQuestion {
  readonly name: string;
  readonly type: RecordType;
}

/** The values that DNS has, or why it gave no answer, as a part of a sentence. */
export type DnsLookup = { readonly values: readonly string[] } | { readonly unanswered: string };

/** Looks records up, twice where the first try brings no answer. */
export async function lookUpRecords(
  fetch: Fetch,
  resolver: string,
  question: DnsQuestion,
): Promise<DnsLookup> {
  let found = await ask(fetch, resolver, question);
  for (let tried = 1; tried < TRIES && "unanswered" in found; tried++) {
    found = await ask(fetch, resolver, question);
  }
  return found;
}

async function ask(fetch: Fetch, resolver: string, question: DnsQuestion): Promise<DnsLookup> {
  const cut = new AbortController();
  const asked = answerTo(fetch, resolver, question, cut.signal).catch((): DnsLookup => ({
    unanswered: "could not be reached",
  }));
  const answer = await within(ANSWER_TIMEOUT_MS, asked);
  if (answer === undefined) cut.abort();
  return answer ?? { unanswered: `did not answer within ${ANSWER_TIMEOUT_MS / 1_000} s` };
}

async function answerTo(
  fetch: Fetch,
  resolver: string,
  { name, type }: DnsQuestion,
  signal: AbortSignal,
): Promise<DnsLookup> {
  const response = await fetch(resolver, {
    method: "POST",
    headers: { accept: DNS_MESSAGE, "content-type": DNS_MESSAGE },
    body: dnsQuestion(name, type),
    redirect: "manual",
    signal,
  });
  const contentType = response.headers.get("content-type") ?? "";
  if (response.status !== 200 || !contentType.startsWith(DNS_MESSAGE)) {
    await response.body?.cancel();
    return { unanswered: `answered with status ${response.status} and no DNS message` };
  }
  const bytes = await boundedBytes(response);
  if (bytes === undefined) return { unanswered: "answered with more than a DNS message" };
  const answer = parseDnsAnswer(bytes, name, type);
  if (!answer.ok) return { unanswered: `answered with no right DNS message: ${answer.error}` };
  if (answer.value.kind === "failure") {
    return { unanswered: `could not find out (DNS code ${answer.value.rcode})` };
  }
  return { values: answer.value.values };
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
