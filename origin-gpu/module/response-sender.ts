/**
 * Sends the response that an app tells in events. The head leaves with the first body event, so that an app which fails
 * before it gets a 500. The rest is written at the client's pace.
 */
import type { ServerResponse } from "node:http";

import type { HttpBodyEvent, HttpStartEvent, SentEvent } from "./asgi.d.ts";
import { ClientLeft, WrongEvent, headerLines, outOfOrder } from "./wrong-events.ts";

const BODILESS: ReadonlySet<number> = new Set([204, 304]);
const NOTHING = new Uint8Array(0);

export class ResponseSender {
  readonly #response: ServerResponse;
  readonly #startType: HttpStartEvent["type"];
  readonly #bodyType: HttpBodyEvent["type"];
  #head: { readonly status: number; readonly lines: readonly string[] } | undefined;
  /** Bytes of the body as its Content-Length says; undefined where nothing does. */
  #bytes: number | undefined;
  #sent = 0;
  #isComplete = false;
  #isClosed = false;
  /** Resolved when the response takes more. */
  #drained: PromiseWithResolvers<void> | undefined;

  /** @param prefix of the types of its events: a WebSocket's refusal has its own */
  constructor(response: ServerResponse, prefix: "http" | "websocket.http") {
    this.#response = response;
    this.#startType = `${prefix}.response.start`;
    this.#bodyType = `${prefix}.response.body`;
    response.on("drain", () => this.#drained?.resolve());
    response.once("close", () => {
      this.#isClosed = true;
      this.#drained?.resolve();
    });
    // A client that left is seen by the close.
    response.on("error", () => undefined);
  }

  get isComplete(): boolean {
    return this.#isComplete;
  }

  /** Whether the client left before the response was complete. */
  get isLeft(): boolean {
    return this.#isClosed && !this.#isComplete;
  }

  async send(event: SentEvent): Promise<void> {
    if (this.isLeft) throw new ClientLeft();
    if (this.#isComplete) throw outOfOrder("nothing after the response's end", event);
    if (this.#head === undefined) {
      if (event.type !== this.#startType) throw outOfOrder(this.#startType, event);
      this.#head = headOf(event);
      return;
    }
    if (event.type !== this.#bodyType) throw outOfOrder(this.#bodyType, event);
    const { body = NOTHING, more_body: hasMore = false } = event;
    this.#begin(this.#head);
    await this.#write(typeof body === "string" ? Buffer.from(body) : body, hasMore);
  }

  /** Answers 500 in the place of an app that failed, or breaks off what it has begun. */
  fail(): void {
    if (this.#isComplete || this.#isClosed) return;
    if (this.#response.headersSent) {
      this.#breakOff();
      return;
    }
    this.#isComplete = true;
    const body = "Internal Server Error";
    const headers = { "content-type": "text/plain; charset=utf-8", "content-length": body.length };
    this.#response.writeHead(500, headers).end(body);
  }

  #begin({ status, lines }: { readonly status: number; readonly lines: readonly string[] }): void {
    if (this.#response.headersSent) return;
    this.#response.writeHead(status, [...lines]);
    const isBodiless = BODILESS.has(status) || this.#response.req.method === "HEAD";
    const length = lines.findIndex(
      (name, index) => index % 2 === 0 && name.toLowerCase() === "content-length",
    );
    if (length !== -1 && !isBodiless) this.#bytes = Number(lines[length + 1]);
  }

  /** The bytes that were sent reach the client before the end, which their framing shows to be too early. */
  #breakOff(): void {
    this.#isClosed = true;
    this.#response.socket?.destroySoon();
  }

  async #write(body: Uint8Array, hasMore: boolean): Promise<void> {
    this.#sent += body.length;
    const bytes = this.#bytes ?? this.#sent;
    if (this.#sent > bytes || (this.#sent < bytes && !hasMore)) {
      this.#breakOff();
      const than = this.#sent > bytes ? "longer" : "shorter";
      throw new WrongEvent(`the body is ${than} than its Content-Length, ${bytes}`);
    }
    if (!hasMore) {
      this.#isComplete = true;
      this.#response.end(body);
      return;
    }
    if (body.length === 0) {
      this.#response.flushHeaders();
      return;
    }
    if (this.#response.write(body)) return;
    this.#drained ??= Promise.withResolvers();
    await this.#drained.promise;
    this.#drained = undefined;
    if (this.isLeft) throw new ClientLeft();
  }
}

function headOf({ status, headers }: HttpStartEvent) {
  if (!Number.isInteger(status) || status < 200 || status > 999) {
    throw new WrongEvent(`status must be an integer from 200 to 999, and the app sent ${status}`);
  }
  return { status, lines: headerLines(headers) };
}
