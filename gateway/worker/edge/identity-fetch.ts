/**
 * Requests of the gateway's own to identity providers, whose URLs the apps' authors choose. They go to public addresses
 * alone, and to those private hosts that the gateway's operator has named: else a tenant could have the gateway ask
 * machines that nobody else reaches.
 */
import type { Env } from "../../contracts/env.ts";

/** An answer takes no longer. */
const TIMEOUT_MS = 4_000;

const MAX_ANSWER_BYTES = 256 * 1024;

/** The headers of an answer that its readers need. */
const READ_HEADERS = ["content-type", "www-authenticate"];

/** A request that is none of a browser's. */
export interface IdentityRequest {
  readonly method?: string;
  readonly headers?: Record<string, string>;
  readonly body?: string;
}

/** There is no answer: the host is private and not named, or does not give one. */
export class IdentityUnreachable extends Error {}

/** An answer, read whole. @throws {IdentityUnreachable} */
export async function identityFetch(
  env: Env,
  url: string,
  request: IdentityRequest = {},
): Promise<Response> {
  try {
    return await wholeAnswer(env, url, request);
  } catch (cause) {
    throw new IdentityUnreachable(url, { cause });
  }
}

/**
 * The text of an answer with status 200.
 * @throws {IdentityUnreachable} where there is none
 */
export async function fetchIdentityText(env: Env, url: string): Promise<string> {
  const response = await identityFetch(env, url);
  if (response.status !== 200) throw new IdentityUnreachable(`status ${response.status}`);
  return await response.text();
}

async function wholeAnswer(
  env: Env,
  url: string,
  { method = "GET", headers = {}, body }: IdentityRequest,
): Promise<Response> {
  const { host, protocol } = new URL(url);
  const named = (env.POSTERN_IDENTITY_HOSTS ?? "").split(",").includes(host);
  if (!named && protocol !== "https:") throw new Error("only https, but for named hosts");
  const network = named ? env.IDENTITY_NETWORK : undefined;
  const init: RequestInit = {
    method,
    headers: { accept: "application/json", ...headers },
    ...(body !== undefined && { body }),
    redirect: "manual",
    signal: AbortSignal.timeout(TIMEOUT_MS),
  };
  const response = await (network === undefined ? fetch(url, init) : network.fetch(url, init));
  const { status } = response;
  const read = new Headers();
  for (const name of READ_HEADERS) {
    const value = response.headers.get(name);
    if (value !== null) read.set(name, value);
  }
  const text = await boundedText(response);
  return new Response(status === 204 || status === 304 ? null : text, { status, headers: read });
}

async function boundedText(response: Response): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  let bytes = 0;
  for await (const chunk of response.body ?? []) {
    const part = chunk as Uint8Array;
    bytes += part.length;
    if (bytes > MAX_ANSWER_BYTES) throw new Error("the answer is too long");
    text += decoder.decode(part, { stream: true });
  }
  return text + decoder.decode();
}
