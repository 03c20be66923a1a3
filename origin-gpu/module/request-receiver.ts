/**
 * Gives a request's body to its app in events, no faster than the app receives them. After the body the app waits for
 * `http.disconnect`: the client has left, or the response is complete.
 */
import type { IncomingMessage, ServerResponse } from "node:http";

import type { HttpDisconnectEvent, HttpRequestEvent } from "./asgi.d.ts";

const NOTHING = new Uint8Array(0);
const DISCONNECT: HttpDisconnectEvent = { type: "http.disconnect" };

export class RequestReceiver {
  readonly #request: IncomingMessage;
  readonly #response: ServerResponse;
  /** Asks a client that waits for it to send the body (RFC 9110, 10.1.1). */
  #askForBody: (() => void) | undefined;
  #isWhole = false;
  #isOver = false;
  /** Resolved when the request has more to read, or is over. */
  #changed = Promise.withResolvers<void>();
  /** Receives are answered one after the other. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(request: IncomingMessage, response: ServerResponse, askForBody?: () => void) {
    this.#request = request;
    this.#response = response;
    this.#askForBody = askForBody;
    response.once("close", () => {
      this.#isOver = true;
      this.#changed.resolve();
    });
    // A body that broke off is seen by the response's close.
    request.on("error", () => undefined);
  }

  async receive(): Promise<HttpRequestEvent | HttpDisconnectEvent> {
    const next = this.#turn.then(async () => await this.#next());
    this.#turn = next;
    return await next;
  }

  /** Reads the rest of the body for nobody, so that the connection can be used again. */
  drop(): void {
    this.#isWhole = true;
    this.#request.removeAllListeners("readable");
    this.#request.resume();
  }

  async #next(): Promise<HttpRequestEvent | HttpDisconnectEvent> {
    this.#listen();
    for (;;) {
      if (this.#isOver || this.#response.writableEnded) return DISCONNECT;
      const body = this.#isWhole ? null : (this.#request.read() as Buffer | null);
      const { complete, readableLength } = this.#request;
      if (body !== null || (complete && readableLength === 0 && !this.#isWhole)) {
        this.#isWhole = complete && readableLength === 0;
        return { type: "http.request", body: body ?? NOTHING, more_body: !this.#isWhole };
      }
      this.#changed = Promise.withResolvers();
      await this.#changed.promise;
    }
  }

  #listen(): void {
    this.#askForBody?.();
    this.#askForBody = undefined;
    if (this.#isWhole || this.#isOver || this.#request.listenerCount("readable") > 0) return;
    for (const event of ["readable", "end"]) {
      this.#request.on(event, () => this.#changed.resolve());
    }
  }
}
