/** The API's client: sends one request, and turns whatever is not a success into one clear line. */

import type * as z from "zod";
import type { ApiMethod, ApiOperation, PathParameters } from "../api/operation.ts";
import { request as httpRequest, type IncomingMessage } from "node:http";
import { request as httpsRequest } from "node:https";
import { Readable } from "node:stream";
import { text as readText } from "node:stream/consumers";
import type { Access } from "./access.ts";
import { LOG_HEARTBEAT_MS } from "../routing/wire/container-logs.ts";
import { codeOf, CommandFailure, reasonOf } from "./failure.ts";
import { responseLines } from "./response-lines.ts";

const TIMEOUT_MS = 15_000;

/** How long an upload may stand still: the box that it goes to may be at the end of a slow line. */
const UPLOAD_IDLE_MS = 60_000;

/** How long what was sent whole may be worked on: a box unpacks code, and waits for its disk. */
const UPLOAD_ANSWER_MS = 5 * 60_000;

/** How long lines that come as they are made may be silent: there is an empty one each LOG_HEARTBEAT_MS. */
const MAX_SILENCE_MS = 3 * LOG_HEARTBEAT_MS;

/** Items that a list asks for at a time: what the API gives at most. */
export const PAGE_ITEMS = 100;

/** A problem document as far as a command reads it. */
interface ProblemDocument {
  readonly code?: string;
  readonly detail?: string;
}

/** The bytes of an upload. */
export interface CodeUpload {
  readonly bytes: number;
  readonly content: Readable;
  /** Told how many bytes have gone out, after each of them. */
  readonly onProgress: (sent: number) => void;
  /** Ends it. */
  readonly signal: AbortSignal;
}

interface ApiPage {
  readonly items: unknown[];
  readonly next_cursor: string | null;
}

/** Whether an object may have no member; one of any names may. */
type IsOptional<Members> = string extends keyof Members
  ? true
  : Partial<Members> extends Members
    ? true
    : false;

/** A request to an operation: what its path, query and body need. */
export type ClientRequest<
  Path extends string,
  Query extends z.ZodObject,
  Body extends z.ZodType,
> = (unknown extends PathParameters<Path>
  ? { readonly path?: undefined }
  : { readonly path: PathParameters<Path> }) &
  (IsOptional<z.input<Query>> extends true
    ? { readonly query?: z.input<Query> }
    : { readonly query: z.input<Query> }) &
  (undefined extends z.input<Body>
    ? { readonly body?: undefined }
    : { readonly body: z.input<Body> });

/** The same for code that does not know the operation. */
interface LooseRequest {
  readonly path?: Readonly<Record<string, string | number>>;
  readonly query?: Readonly<Record<string, unknown>>;
  readonly body?: object;
}

/** The gateway could not be asked, or could not answer: the same question may do later. */
export class Unavailable extends CommandFailure {
  override name = "Unavailable";
}

/** The gateway answered, and the answer is no. */
class ApiRefusal extends CommandFailure {
  override name = "ApiRefusal";
  /** One of the API's stable codes; undefined where something else than a gateway answered. */
  readonly code: string | undefined;

  constructor(message: string, code: string | undefined) {
    super(message);
    this.code = code;
  }
}

/** Whether a request failed because the gateway, or the box, knows nothing of what was asked for. */
export function isUnknown(error: unknown): boolean {
  const { code = "" } = error instanceof ApiRefusal ? error : {};
  return ["not_found", "no_such_call"].includes(code);
}

export class ApiClient {
  readonly #access: Access;

  constructor(access: Access) {
    this.#access = access;
  }

  /**
   * Sends an operation's request and returns its document.
   * @throws {Unavailable} where the gateway can't be asked or can't answer now
   * @throws {CommandFailure} where it refuses, or answers what the operation's schema does not know
   */
  async call<
    Path extends string,
    Query extends z.ZodObject,
    Body extends z.ZodType,
    Response extends z.ZodType,
  >(
    operation: ApiOperation<Path, Query, Body, Response>,
    request: ClientRequest<Path, Query, Body>,
  ): Promise<z.output<Response>> {
    const { path, query, body }: LooseRequest = request as object;
    const target = targetOf(operation, path, query);
    const answer = await this.#send(operation.method, target, body);
    if (operation.response === undefined) return undefined as z.output<Response>;
    const document = operation.response.schema.safeParse(answer);
    if (document.success) return document.data;
    const [issue] = document.error.issues;
    const where = issue?.path.join(".") ?? "";
    throw new CommandFailure(
      `the gateway answered ${operation.id} with ${where}: ${issue?.message}; update the older one of gateway and command`,
    );
  }

  /** As `call`; undefined where the gateway knows nothing of it. */
  async find<
    Path extends string,
    Query extends z.ZodObject,
    Body extends z.ZodType,
    Response extends z.ZodType,
  >(
    operation: ApiOperation<Path, Query, Body, Response>,
    request: ClientRequest<Path, Query, Body>,
  ): Promise<z.output<Response> | undefined> {
    try {
      return await this.call(operation, request);
    } catch (error) {
      if (isUnknown(error)) return undefined;
      throw error;
    }
  }

  /** Sends bytes as they are, however long that takes as long as they move. */
  async upload<Path extends string, Query extends z.ZodObject>(
    operation: ApiOperation<Path, Query, z.ZodType<undefined>, z.ZodType<void>>,
    request: ClientRequest<Path, Query, z.ZodType<undefined>>,
    { bytes, content, onProgress, signal }: CodeUpload,
  ): Promise<void> {
    const { path, query }: LooseRequest = request as object;
    const target = targetOf(operation, path, query);
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
      const either = AbortSignal.any([signal, idle.signal]);
      const response = await this.#open(operation.method, target, headers, content, either);
      await this.#answerOf(response);
    } catch (error) {
      if (!idle.signal.aborted) throw error;
      throw new CommandFailure(`the upload stood still at ${sent} of ${bytes} bytes`);
    } finally {
      clearTimeout(timer);
      content.destroy();
    }
  }

  /** Calls a list's operation for its pages, and returns their items. @param most so many at most */
  async list<
    Path extends string,
    Query extends z.ZodObject,
    Body extends z.ZodType,
    Page extends z.ZodType<ApiPage>,
  >(
    operation: ApiOperation<Path, Query, Body, Page>,
    request: ClientRequest<Path, Query, Body>,
    most = Infinity,
  ): Promise<z.output<Page>["items"][number][]> {
    const items: z.output<Page>["items"][number][] = [];
    let cursor: string | null | undefined;
    do {
      const { query }: LooseRequest = request as object;
      const at = {
        ...query,
        limit: Math.min(PAGE_ITEMS, most - items.length),
        ...(cursor === undefined ? {} : { cursor }),
      };
      const page = await this.call(operation, { ...request, query: at });
      items.push(...page.items);
      cursor = page.next_cursor;
    } while (cursor !== null && items.length < most);
    return items;
  }

  async #send(method: ApiMethod, path: string, body?: object): Promise<unknown> {
    const signal = AbortSignal.timeout(TIMEOUT_MS);
    if (body === undefined) {
      return await this.#answerOf(await this.#open(method, path, {}, undefined, signal));
    }
    const content = JSON.stringify(body);
    const headers = {
      "content-type": "application/json",
      "content-length": Buffer.byteLength(content),
    };
    return await this.#answerOf(await this.#open(method, path, headers, content, signal));
  }

  /**
   * Yields the lines of an operation as they come, and undefined for each sign of life that brings none: when the
   * answer begins, and for an empty line. Ends when the signal aborts.
   * @throws {Unavailable} where the gateway or the box can't be asked now, or the lines break off
   * @throws {CommandFailure} as `call`
   */
  async *lines<Path extends string, Query extends z.ZodObject, Line extends z.ZodType>(
    operation: ApiOperation<Path, Query, z.ZodType<undefined>, z.ZodType<void>, Line>,
    request: ClientRequest<Path, Query, z.ZodType<undefined>>,
    signal: AbortSignal,
  ): AsyncGenerator<z.output<Line> | undefined> {
    const { path, query }: LooseRequest = request as object;
    const target = targetOf(operation, path, query);
    const late = new AbortController();
    const timer = setTimeout(() => late.abort(), TIMEOUT_MS);
    try {
      const either = AbortSignal.any([signal, late.signal]);
      const response = await this.#open(operation.method, target, {}, undefined, either);
      clearTimeout(timer);
      if (response.statusCode !== 200) await this.#answerOf(response);
      yield undefined;
      for await (const line of responseLines(response, MAX_SILENCE_MS)) {
        yield line === "" ? undefined : operation.lines?.schema.parse(JSON.parse(line));
      }
    } catch (error) {
      if (signal.aborted) return;
      throw error instanceof CommandFailure ? error : new Unavailable(brokenOff(error));
    } finally {
      clearTimeout(timer);
    }
  }

  async #open(
    method: ApiMethod,
    path: string,
    headers: Readonly<Record<string, string | number>>,
    content: string | Readable | undefined,
    signal: AbortSignal,
  ): Promise<IncomingMessage> {
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
    const options = { method: method.toUpperCase(), headers: all, signal };
    try {
      return await exchange(target, options, content);
    } catch (error) {
      throw this.#unreachable(error);
    }
  }

  async #answerOf(response: IncomingMessage): Promise<unknown> {
    const status = response.statusCode ?? 0;
    let text: string;
    try {
      text = await readText(response);
    } catch (error) {
      throw this.#unreachable(error);
    }
    if (status === 204) return undefined;
    const answer = parseJson(text);
    if (status >= 200 && status < 300 && answer !== undefined) return answer;
    const problem: ProblemDocument = answer ?? {};
    const refusal = this.#refusal(status, problem);
    throw status === 503 ? new Unavailable(refusal) : new ApiRefusal(refusal, problem.code);
  }

  #unreachable(error: unknown): Unavailable {
    return new Unavailable(
      `can't reach the gateway at ${this.#access.url}: ${networkReason(error)}`,
    );
  }

  #refusal(status: number, { code, detail }: ProblemDocument): string {
    const { url, tokenId, source } = this.#access;
    if (code === undefined) return `${url} is no Postern gateway: it answered ${status}`;
    if (code === "invalid_credentials" || code === "missing_credentials") {
      return `the gateway at ${url} does not take the token ${tokenId} (${source}): wrong, expired or revoked`;
    }
    return detail ?? code;
  }
}

/** The path and query of a request, below the API's base path. */
function targetOf(
  { path }: { readonly path: string },
  parameters: LooseRequest["path"] = {},
  query: LooseRequest["query"] = {},
): string {
  const filled = path.replace(/\{(\w+)\}/g, (_, name: string) =>
    encodeURIComponent(parameters[name] ?? ""),
  );
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (typeof value === "string" || typeof value === "number") search.set(name, `${value}`);
  }
  return search.size === 0 ? filled : `${filled}?${search.toString()}`;
}

/** One request on a connection of its own; rejects when no answer comes before the signal. */
async function exchange(
  target: URL,
  options: {
    readonly method: string;
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

function brokenOff(error: unknown): string {
  return `the lines broke off: ${reasonOf(error)}`;
}

function networkReason(error: unknown): string {
  if (codeOf(error) === "ECONNREFUSED") return "connection refused";
  if (error instanceof Error && error.name === "AbortError") {
    return `no answer within ${TIMEOUT_MS / 1_000} s`;
  }
  return reasonOf(error);
}
