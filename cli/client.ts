/** The API's client: sends one request, and turns whatever is not a success into one clear line. */

import { request as httpRequest, type IncomingMessage } from "node:http";
import { request as httpsRequest } from "node:https";
import { Readable } from "node:stream";
import { text as textOf } from "node:stream/consumers";
import type { Access } from "./access.ts";
import { codeOf, Failure, reasonOf } from "./failure.ts";

const TIMEOUT_MS = 15_000;

/** How long an upload may stand still: the box that it goes to may be at the end of a slow line. */
const UPLOAD_IDLE_MS = 60_000;

/** How long what was sent whole may be worked on: a box unpacks code, and waits for its disk. */
const UPLOAD_ANSWER_MS = 5 * 60_000;

/** Items that a list asks for at a time: what the API gives at most. */
const PAGE_ITEMS = 100;

/** A problem document as far as a command reads it. */
interface Problem {
  readonly code?: string;
  readonly detail?: string;
}

/** What an upload sends. */
export interface Upload {
  readonly bytes: number;
  readonly content: Readable;
  /** Told how many bytes have gone out, after each of them. */
  readonly onProgress: (sent: number) => void;
  /** Ends it. */
  readonly signal: AbortSignal;
}

interface Page<Item> {
  readonly items: readonly Item[];
  readonly next_cursor: string | null;
}

/** The gateway could not be asked, or could not answer: the same question may do later. */
export class Unavailable extends Failure {
  override name = "Unavailable";
}

/** The gateway answered, and the answer is no. */
class ApiRefusal extends Failure {
  override name = "ApiRefusal";
  /** One of the API's stable codes; undefined where something else than a gateway answered. */
  readonly code: string | undefined;

  constructor(message: string, code: string | undefined) {
    super(message);
    this.code = code;
  }
}

export class ApiClient {
  readonly #access: Access;

  constructor(access: Access) {
    this.#access = access;
  }

  async get<Answer>(path: string): Promise<Answer> {
    return (await this.#send("GET", path)) as Answer;
  }

  /** As `get`; undefined where the gateway knows nothing of it. */
  async find<Answer>(path: string): Promise<Answer | undefined> {
    try {
      return await this.get<Answer>(path);
    } catch (error) {
      const { code = "" } = error instanceof ApiRefusal ? error : {};
      if (["not_found", "no_such_call"].includes(code)) return undefined;
      throw error;
    }
  }

  async post<Answer>(path: string, body: object): Promise<Answer> {
    return (await this.#send("POST", path, body)) as Answer;
  }

  async delete(path: string): Promise<void> {
    await this.#send("DELETE", path);
  }

  async patch<Answer>(path: string, body: object): Promise<Answer> {
    return (await this.#send("PATCH", path, body)) as Answer;
  }

  async put<Answer>(path: string, body: object): Promise<Answer> {
    return (await this.#send("PUT", path, body)) as Answer;
  }

  /** Sends bytes as they are, however long that takes as long as they move. */
  async upload(path: string, { bytes, content, onProgress, signal }: Upload): Promise<void> {
    const idle = new AbortController();
    let timer = setTimeout(() => idle.abort(), UPLOAD_IDLE_MS);
    let sent = 0;
    content.on("data", (chunk: Buffer) => {
      timer.refresh();
      sent += chunk.length;
      onProgress(sent);
    });
    content.once("end", () => {
      clearTimeout(timer);
      timer = setTimeout(() => idle.abort(), UPLOAD_ANSWER_MS);
    });
    try {
      const headers = { "content-type": "application/octet-stream", "content-length": bytes };
      await this.#exchange("PUT", path, headers, content, AbortSignal.any([signal, idle.signal]));
    } catch (error) {
      if (!idle.signal.aborted) throw error;
      throw new Failure(`the upload stood still at ${sent} of ${bytes} bytes`);
    } finally {
      clearTimeout(timer);
      content.destroy();
    }
  }

  /** All pages of a list, whose path may have a query. */
  async list<Item>(path: string): Promise<Item[]> {
    const items: Item[] = [];
    let cursor: string | null = "";
    while (cursor !== null) {
      const from: string = cursor === "" ? "" : `&cursor=${encodeURIComponent(cursor)}`;
      const query = `${path.includes("?") ? "&" : "?"}limit=${PAGE_ITEMS}${from}`;
      const page: Page<Item> = await this.get(`${path}${query}`);
      items.push(...page.items);
      cursor = page.next_cursor;
    }
    return items;
  }

  async #send(method: Method, path: string, body?: object): Promise<unknown> {
    const signal = AbortSignal.timeout(TIMEOUT_MS);
    if (body === undefined) return await this.#exchange(method, path, {}, undefined, signal);
    const content = JSON.stringify(body);
    const headers = {
      "content-type": "application/json",
      "content-length": Buffer.byteLength(content),
    };
    return await this.#exchange(method, path, headers, content, signal);
  }

  async #exchange(
    method: Method,
    path: string,
    headers: Readonly<Record<string, string | number>>,
    content: string | Readable | undefined,
    signal: AbortSignal,
  ): Promise<unknown> {
    const { url, connectTo, tokenId, tokenSecret } = this.#access;
    const target = new URL(
      `${connectTo === undefined ? url : `http://${connectTo}`}/api/v1${path}`,
    );
    const all = {
      host: new URL(url).host,
      authorization: `Bearer ${tokenId}.${tokenSecret}`,
      accept: "application/json",
      ...headers,
    };
    let status: number;
    let text: string;
    try {
      const response = await exchange(target, { method, headers: all, signal }, content);
      status = response.statusCode ?? 0;
      text = await textOf(response);
    } catch (error) {
      throw new Unavailable(`can't reach the gateway at ${url}: ${networkReason(error)}`);
    }
    if (status === 204) return undefined;
    const answer = parseJson(text);
    if (status >= 200 && status < 300 && answer !== undefined) return answer;
    const problem: Problem = answer ?? {};
    const refusal = this.#refusal(status, problem);
    throw status === 503 ? new Unavailable(refusal) : new ApiRefusal(refusal, problem.code);
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

type Method = "GET" | "POST" | "PUT" | "PATCH" | "DELETE";

/** One request on a connection of its own; rejects when no answer comes before the signal. */
async function exchange(
  target: URL,
  options: {
    readonly method: Method;
    readonly headers: Record<string, string | number>;
    readonly signal: AbortSignal;
  },
  content: string | Readable | undefined,
): Promise<IncomingMessage> {
  const send = target.protocol === "https:" ? httpsRequest : httpRequest;
  return await new Promise((resolve, reject) => {
    const request = send(target, { ...options, agent: false })
      .once("response", (response) => {
        // Who refuses an upload need not read it to its end; the rest of it must not hold this process.
        response.once("close", () => request.destroy());
        resolve(response);
      })
      .on("error", reject);
    if (content instanceof Readable) {
      content.once("error", (error) => request.destroy(error));
      content.pipe(request);
    } else {
      request.end(content);
    }
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
