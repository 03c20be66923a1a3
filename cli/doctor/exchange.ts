/** One HTTP/1.1 exchange as a client has it, with its times. Follows nothing, and repeats nothing. */
import { type IncomingHttpHeaders, request as httpRequest } from "node:http";
import { request as httpsRequest } from "node:https";
import type { LookupFunction } from "node:net";
import { parseResultTarget } from "../../routing/result-url.ts";
import { ERRORS, type ErrorCode, isErrorCode } from "../../routing/wire/errors.ts";

/** Bytes of an answer that are looked at. */
const MAX_READ_BYTES = 65_536;

const TIMEOUT_MS = 20_000;

/** A body that goes on is looked at for so long from its first byte: an event stream may never end. */
const MAX_READ_MS = 2_000;

/** The server, and the address that its name was found to have. */
export interface Server {
  readonly url: URL;
  readonly address: string;
  readonly family: 4 | 6;
}

export interface TriedRequest {
  readonly path?: string;
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

export interface TriedAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  /** Its beginning. */
  readonly text: string;
  /** Milliseconds from the request to the first byte of the body; undefined where none came. */
  readonly firstByteMs: number | undefined;
  /** The same to the body's end, or as far as it was read. */
  readonly endMs: number;
}

/** No head of a response came in time. */
export class LateAnswer extends Error {
  constructor() {
    super(`no answer within ${TIMEOUT_MS / 1_000} s`);
  }
}

/** Rejects with the connection's error, or with a `LateAnswer`. */
export async function exchange(
  { url, address, family }: Server,
  asked: TriedRequest = {},
): Promise<TriedAnswer> {
  const { path = url.pathname + url.search, method = "GET", headers = {}, body } = asked;
  const lookup: LookupFunction = (_host, options, done) => {
    if (options.all === true) done(null, [{ address, family }]);
    else done(null, address, family);
  };
  const send = url.protocol === "https:" ? httpsRequest : httpRequest;
  const startedAt = performance.now();
  return await new Promise((settle, reject) => {
    const request = send({
      host: url.hostname.replace(/^\[|\]$/g, ""),
      port: url.port === "" ? undefined : Number(url.port),
      path,
      method,
      headers: { host: url.host, ...headers },
      lookup,
      agent: false,
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    let hasHead = false;
    request.once("upgrade", (response, socket) => {
      socket.destroy();
      const ms = performance.now() - startedAt;
      settle({ status: 101, headers: response.headers, text: "", firstByteMs: ms, endMs: ms });
    });
    request.once("response", (response) => {
      hasHead = true;
      const chunks: Buffer[] = [];
      let bytes = 0;
      let firstByteMs: number | undefined;
      let enough: NodeJS.Timeout | undefined;
      const end = (): void => {
        clearTimeout(enough);
        const endMs = performance.now() - startedAt;
        const { statusCode: status = 0, headers: lines } = response;
        const text = Buffer.concat(chunks).toString("utf8");
        settle({ status, headers: lines, text, firstByteMs, endMs });
      };
      response.on("data", (chunk: Buffer) => {
        firstByteMs ??= performance.now() - startedAt;
        enough ??= setTimeout(() => response.destroy(), MAX_READ_MS);
        chunks.push(chunk);
        bytes += chunk.length;
        if (bytes > MAX_READ_BYTES) response.destroy();
      });
      response.once("close", end);
      response.once("error", () => undefined);
    });
    request.on("error", (error) => {
      // Its body is read as far as it came.
      if (hasHead) return;
      const isLate = error.name === "TimeoutError" || error.name === "AbortError";
      reject(isLate ? new LateAnswer() : error);
    });
    request.end(body);
  });
}

/** Who answered: Postern itself, with its code, the app behind it, or another server. */
export type Answerer =
  | { readonly by: "postern"; readonly code: ErrorCode }
  | { readonly by: "app" }
  | { readonly by: "other" };

export function answererOf({ headers, text }: TriedAnswer): Answerer {
  const code = codeOf(text);
  // Postern names each of its answers, and the call of each that an app gave.
  if (code !== undefined && headers["x-request-id"] !== undefined) return { by: "postern", code };
  return headers["postern-call-id"] === undefined ? { by: "other" } : { by: "app" };
}

/** Whether Postern stopped waiting for the app, and says where its response will be. */
export function hasResultUrl({ status, headers }: TriedAnswer): boolean {
  const mayBe = status === 303 || status === 202;
  return mayBe && parseResultTarget(headers.location ?? "")?.kind === "result";
}

function codeOf(text: string): ErrorCode | undefined {
  try {
    const { code } = JSON.parse(text) as { code?: unknown };
    return isErrorCode(code) ? code : undefined;
  } catch {
    return undefined;
  }
}

/** Postern's own words for a code: what happened, and what to do about it, without the marks of Markdown. */
export function wordsOf(code: ErrorCode): { readonly title: string; readonly remedy: string } {
  const { title, remedy } = ERRORS[code];
  return { title, remedy: remedy.replaceAll(/\[([^\]]*)\]\([^)]*\)/g, "$1").replaceAll("`", "") };
}
