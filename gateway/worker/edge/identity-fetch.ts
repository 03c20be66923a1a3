/**
 * Requests of the gateway's own to identity providers, whose URLs the apps' authors choose. They go to public addresses
 * alone, and to those private hosts that the gateway's operator has named: else a tenant could have the gateway ask
 * machines that nobody else reaches.
 */
import type { Env } from "../../contracts/env.ts";

/** An answer takes no longer. */
const TIMEOUT_MS = 4_000;

const MAX_ANSWER_BYTES = 256 * 1024;

/**
 * The text of an answer with status 200.
 * @throws Error where there is none: the host is private and not named, or does not answer so
 */
export async function fetchIdentityText(env: Env, url: string): Promise<string> {
  const { host, protocol } = new URL(url);
  const named = (env.POSTERN_IDENTITY_HOSTS ?? "").split(",").includes(host);
  if (!named && protocol !== "https:") throw new Error("only https, but for named hosts");
  const network = named ? env.IDENTITY_NETWORK : undefined;
  const init: RequestInit = {
    headers: { accept: "application/json" },
    redirect: "manual",
    signal: AbortSignal.timeout(TIMEOUT_MS),
  };
  const response = await (network === undefined ? fetch(url, init) : network.fetch(url, init));
  if (response.status !== 200) {
    await response.body?.cancel();
    throw new Error(`status ${response.status}`);
  }
  return await boundedText(response);
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
