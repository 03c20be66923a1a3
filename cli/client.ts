/** The API's client: sends one request, and turns whatever is not a success into one clear line. */

import { request as httpRequest, type IncomingMessage } from "node:http";
import { request as httpsRequest } from "node:https";
import { text as textOf } from "node:stream/consumers";
import type { Access } from "./access.ts";
import { codeOf, Failure, reasonOf } from "./failure.ts";

const TIMEOUT_MS = 15_000;

/** Items that a list asks for at a time: what the API gives at most. */
const PAGE_ITEMS = 100;

/** A problem document as far as a command reads it. */
interface Problem {
  readonly code?: string;
  readonly detail?: string;
}

interface Page<Item> {
  readonly items: readonly Item[];
  readonly next_cursor: string | null;
}

export class ApiClient {
  readonly #access: Access;

  constructor(access: Access) {
    this.#access = access;
  }

  async get<Answer>(path: string): Promise<Answer> {
    return (await this.#send("GET", path)) as Answer;
  }

  async post<Answer>(path: string, body: object): Promise<Answer> {
    return (await this.#send("POST", path, body)) as Answer;
  }

  async delete(path: string): Promise<void> {
    await this.#send("DELETE", path);
  }

  /** All pages of a list. */
  async list<Item>(path: string): Promise<Item[]> {
    const items: Item[] = [];
    let cursor: string | null = "";
    while (cursor !== null) {
      const from: string = cursor === "" ? "" : `&cursor=${encodeURIComponent(cursor)}`;
      const page: Page<Item> = await this.get(`${path}?limit=${PAGE_ITEMS}${from}`);
      items.push(...page.items);
      cursor = page.next_cursor;
    }
    return items;
  }

  async #send(method: "GET" | "POST" | "DELETE", path: string, body?: object): Promise<unknown> {
    const { url, connectTo, tokenId, tokenSecret } = this.#access;
    const origin = connectTo === undefined ? url : `http://${connectTo}`;
    const content = body === undefined ? undefined : JSON.stringify(body);
    const headers = {
      host: new URL(url).host,
      authorization: `Bearer ${tokenId}.${tokenSecret}`,
      accept: "application/json",
      ...(content === undefined
        ? {}
        : { "content-type": "application/json", "content-length": Buffer.byteLength(content) }),
    };
    let status: number;
    let text: string;
    try {
      const target = new URL(`${origin}/api/v1${path}`);
      const response = await exchange(target, { method, headers }, content);
      status = response.statusCode ?? 0;
      text = await textOf(response);
    } catch (error) {
      throw new Failure(`can't reach the gateway at ${url}: ${networkReason(error)}`);
    }
    if (status === 204) return undefined;
    const answer = parseJson(text);
    if (status >= 200 && status < 300 && answer !== undefined) return answer;
    throw new Failure(this.#refusal(status, answer ?? {}));
  }

  #refusal(status: number, { code, detail }: Problem): string {
    const { url, tokenId, source } = this.#access;
    if (code === undefined) return `${url} is no Postern gateway: it answered ${status}`;
    if (code === "invalid_credentials" || code === "missing_credentials") {
      return `the gateway at ${url} does not take the token ${tokenId} (${source}): wrong, expired or revoked`;
    }
    return detail ?? code;
  }
}

/** One request on a connection of its own; rejects when no answer comes in time. */
async function exchange(
  target: URL,
  options: { readonly method: string; readonly headers: Record<string, string | number> },
  content: string | undefined,
): Promise<IncomingMessage> {
  const request = target.protocol === "https:" ? httpsRequest : httpRequest;
  return await new Promise((resolve, reject) => {
    request(target, { ...options, agent: false, signal: AbortSignal.timeout(TIMEOUT_MS) })
      .once("response", resolve)
      .once("error", reject)
      .end(content);
  });
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

function networkReason(error: unknown): string {
  if (codeOf(error) === "ECONNREFUSED") return "connection refused";
  if (error instanceof Error && error.name === "AbortError") {
    return `no answer within ${TIMEOUT_MS / 1_000} s`;
  }
  return reasonOf(error);
}
