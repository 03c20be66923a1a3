/**
 * A client's WebSocket that waits for its dial-back: for the app's own 101 (HEAD on the stream) and for the
 * agent's request that names the same 128 random bits. When both came, Worker and agent each get one end of a
 * WebSocketPair. workerd pumps between the ends, and no message passes through JavaScript. An app that refuses
 * the handshake responds like to any request.
 */
import { DIAL_TIMEOUT_MS } from "../../../routing/wire/limits.ts";
import { parseResponseHead } from "../../../routing/wire/heads.ts";
import type { Stream, StreamEnding, StreamEvents } from "../../../routing/wire/multiplexer.ts";
import { StreamResponse } from "./stream-response.ts";
import type { Deadlines } from "./deadlines.ts";
import { attemptResponse } from "../../contracts/attempt.ts";

export class PendingDial implements StreamEvents {
  readonly response: Promise<Response>;
  readonly #streamResponse: StreamResponse;
  readonly #forget: () => void;
  readonly #onOver: () => void;
  #resolve: (response: Response) => void;
  #reject: (reason: Error) => void;
  #stream: Stream | undefined;
  #head: string | undefined;
  #arrived: ((response: Response) => void) | undefined;
  #timer: number | null = null;

  /**
   * @param forget told when no dial-back is awaited any more
   * @param onOver told when the handshake is over, and nothing more can come for its client but messages
   */
  constructor(
    request: Request,
    deadlines: Deadlines,
    forget: () => void,
    onOver: () => void = () => undefined,
  ) {
    const { promise, resolve, reject } = Promise.withResolvers<Response>();
    this.response = promise;
    this.#resolve = resolve;
    this.#reject = reject;
    this.#forget = forget;
    this.#onOver = onOver;
    this.#streamResponse = new StreamResponse(request, deadlines, { onOver: () => this.#end() });
    request.signal.addEventListener("abort", () => this.#giveUp("the client left"));
    this.#streamResponse.response.then(resolve, reject);
  }

  /** @param stream undefined when the link has all the streams that it may have */
  start(stream: Stream | undefined): void {
    this.#stream = stream;
    this.#streamResponse.start(stream);
  }

  onHead(head: string, body: Uint8Array, end: boolean): void {
    if (!isSwitching(head)) {
      this.#forget();
      this.#streamResponse.onHead(head, body, end);
      return;
    }
    this.#head = head;
    if (this.#arrived !== undefined) this.#couple(head, this.#arrived);
    else this.#expect();
  }

  onData(bytes: Uint8Array, end: boolean): void {
    this.#streamResponse.onData(bytes, end);
  }

  onEnd(ending: StreamEnding): void {
    this.#streamResponse.onEnd(ending);
    // A failure is the response; after any other ending there is none.
    if ("failure" in ending) this.#end();
    else this.#giveUp(`the stream is over: ${ending.kind}`);
  }

  /** The client has closed its half of the connection. */
  onHalfClosed(): void {
    this.#streamResponse.onHalfClosed();
  }

  /** The agent dialled back. Its request travels beside the link and may overtake the HEAD on it. */
  async arrived(): Promise<Response> {
    const { promise, resolve } = Promise.withResolvers<Response>();
    this.#arrived = resolve;
    if (this.#head !== undefined) this.#couple(this.#head, resolve);
    else this.#expect();
    return await promise;
  }

  #couple(head: string, answerAgent: (response: Response) => void): void {
    this.#forget();
    this.#onOver();
    clearTimeout(this.#timer);
    const { 0: clients, 1: agents } = new WebSocketPair();
    this.#resolve(attemptResponse({ kind: "websocket", head, socket: clients }));
    answerAgent(new Response(null, { status: 101, webSocket: agents }));
    // The stream has done its work: the socket lives on without it.
    this.#stream?.detach();
  }

  /** The other half must come soon. */
  #expect(): void {
    this.#timer = setTimeout(
      () => this.#giveUp("the dial-back did not come in time"),
      DIAL_TIMEOUT_MS,
    );
  }

  #giveUp(reason: string): void {
    this.#reject(new Error(reason));
    this.#end();
  }

  #end(): void {
    this.#forget();
    this.#onOver();
    clearTimeout(this.#timer);
    this.#arrived?.(new Response("the client's WebSocket is gone", { status: 404 }));
  }
}

/** Whether the app took the WebSocket. A head that makes no sense is the Worker's to judge, like any other. */
function isSwitching(head: string): boolean {
  try {
    return parseResponseHead(head).status === 101;
  } catch {
    return false;
  }
}
