/**
 * Requests to a labelled URL through node:http: to 127.0.0.1 whatever the name (tests need no DNS),
 * a fresh connection each time, nothing decoded, nothing followed.
 */
import { createHash } from "node:crypto";
import { type ClientRequest, type IncomingMessage, request as httpRequest } from "node:http";
import type { Readable } from "node:stream";

const DEFAULT_TIMEOUT_MS = 30_000;

/** Where a server is reached: the port that is dialled and the Host that is sent. */
export interface Address {
  readonly port: number;
  readonly host: string;
}

export interface RequestOptions {
  readonly method?: string;
  readonly headers?: Record<string, string | readonly string[]>;
  /** A stream is sent chunked unless the headers say how long it is. */
  readonly body?: string | Uint8Array | Readable;
  /** The whole exchange's bound, in milliseconds. */
  readonly timeoutMs?: number;
  /** Breaks the exchange off. */
  readonly signal?: AbortSignal;
}

export interface Answer {
  readonly status: number;
  readonly headers: IncomingMessage["headers"];
  readonly body: Buffer;
  readonly text: string;
  json(): unknown;
}

/** Sends a request and resolves with the response's head; its body is the caller's to read. */
export async function open(
  address: Address,
  path: string,
  options: RequestOptions = {},
): Promise<IncomingMessage> {
  const { body } = options;
  const bytes =
    typeof body === "string" ? Buffer.from(body) : body instanceof Uint8Array ? body : undefined;
  const headers = {
    // Node declares no length by itself for DELETE and OPTIONS, and the server would see no body.
    ...(bytes === undefined ? {} : { "content-length": String(bytes.length) }),
    ...options.headers,
    host: address.host,
  };
  return await new Promise((resolve, reject) => {
    const request: ClientRequest = httpRequest({
      host: "127.0.0.1",
      port: address.port,
      path,
      method: options.method ?? "GET",
      headers: headers as Record<string, string | string[]>,
      agent: false,
      signal: AbortSignal.any([
        AbortSignal.timeout(options.timeoutMs ?? DEFAULT_TIMEOUT_MS),
        ...(options.signal === undefined ? [] : [options.signal]),
      ]),
    });
    request.once("response", resolve);
    request.once("error", reject);
    if (body === undefined || bytes !== undefined) request.end(bytes);
    else (body as Readable).pipe(request);
  });
}

/** Sends a request and reads the whole answer. Rejects when the body is cut. */
export async function send(
  address: Address,
  path: string,
  options: RequestOptions = {},
): Promise<Answer> {
  const response = await open(address, path, options);
  const body = await readAll(response);
  return {
    status: response.statusCode ?? 0,
    headers: response.headers,
    body,
    get text() {
      return body.toString("utf8");
    },
    json: () => JSON.parse(body.toString("utf8")) as unknown,
  };
}

/** Reads a body whole; rejects when it ends before its framing says so. */
export async function readAll(stream: Readable): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

/** Reads a body without keeping it: how long it was and its SHA-256 in hexadecimal. */
export async function digest(stream: Readable): Promise<{ bytes: number; sha256: string }> {
  const hash = createHash("sha256");
  let bytes = 0;
  for await (const chunk of stream) {
    hash.update(chunk as Buffer);
    bytes += (chunk as Buffer).length;
  }
  return { bytes, sha256: hash.digest("hex") };
}

/** The `data` of each server-sent event, as it arrives; rejects an answer that is none of events. */
export async function* events(response: IncomingMessage): AsyncGenerator<string> {
  if (response.statusCode !== 200) {
    const body = (await readAll(response)).toString("utf8");
    throw new Error(`status ${response.statusCode} instead of events: ${body}`);
  }
  let rest = "";
  for await (const chunk of response) {
    rest += (chunk as Buffer).toString("utf8");
    for (let end = rest.indexOf("\n\n"); end !== -1; end = rest.indexOf("\n\n")) {
      const event = rest.slice(0, end);
      rest = rest.slice(end + 2);
      yield event.replace(/^data: ?/, "");
    }
  }
}
