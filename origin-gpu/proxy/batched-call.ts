/** A call whose request goes to the app as an element of a batch, and whose answer is an element of the batch's. */
import { MIB, SECOND_MS } from "../../base/units.ts";
import type { Timer } from "../../base/runtime/timer.ts";
import { isJson } from "../core/json-list.ts";
import type { AppWork, Call } from "../calls/call.ts";
import type { ErrorCode } from "../../routing/wire/errors.ts";
import type { OnBroke, OnRefused, ProxiedCall } from "./app-request.ts";

/** Of one request. A list of them is built in memory. */
const MAX_ELEMENT_BYTES = MIB;

const utf8 = new TextDecoder("utf-8", { fatal: true });

export interface BatchedCallOptions {
  readonly proxied: ProxiedCall;
  readonly refused: OnRefused | undefined;
  readonly broke: OnBroke | undefined;
  readonly timer: Timer;
}

export class BatchedCall implements AppWork {
  readonly call: Call;
  readonly proxied: ProxiedCall;
  readonly #options: BatchedCallOptions;
  #bytes: Uint8Array = new Uint8Array(0);
  /** The request's body, once it is here. */
  text = "";
  /** Its client has left, or it was cancelled. */
  onLeft = (): void => undefined;
  #hasLeft = false;

  constructor(options: BatchedCallOptions) {
    this.#options = options;
    this.proxied = options.proxied;
    this.call = options.proxied.call;
    this.call.start(this);
  }

  get hasLeft(): boolean {
    return this.#hasLeft || this.call.over;
  }

  /** An element of an answer is whole when it begins. */
  pause(): void {}
  resume(): void {}

  abort(): void {
    this.#hasLeft = true;
    this.onLeft();
  }

  /** @returns whether the request can be an element; it has been answered where not */
  async read(): Promise<boolean> {
    const bytes = await this.#collect();
    if (bytes === undefined || this.hasLeft) return false;
    this.#bytes = bytes;
    try {
      this.text = utf8.decode(bytes);
    } catch {
      return this.fail("bad_request", "the body is not UTF-8");
    }
    return isJson(this.text) || this.fail("bad_request", "the body is not JSON");
  }

  async #collect(): Promise<Uint8Array | undefined> {
    const { body } = this.call;
    const { timeoutMs } = this.proxied.limits;
    const late = (): void => {
      const detail = `the client sent no more for ${timeoutMs / SECOND_MS} s`;
      this.fail("upload_interrupted", detail);
    };
    const chunks: Uint8Array[] = [];
    let size = 0;
    let cancel = this.#options.timer(late, timeoutMs);
    try {
      for await (const chunk of body.chunks()) {
        cancel();
        cancel = this.#options.timer(late, timeoutMs);
        // Its buffer may be used again.
        chunks.push(Buffer.from(chunk));
        size += chunk.length;
        if (size <= MAX_ELEMENT_BYTES) continue;
        this.fail("body_too_large", `a request of a batch has at most ${MAX_ELEMENT_BYTES} bytes`);
        return undefined;
      }
      return Buffer.concat(chunks);
    } catch {
      // The body broke off, and its call has ended.
      return undefined;
    } finally {
      cancel();
    }
  }

  respond(status: number, headers: string[], body: string | Buffer, appMs: number): void {
    const { waited } = this.proxied;
    this.call.respond({ status, headers, timing: { ...waited, app: appMs } }, false);
    this.call.append(typeof body === "string" ? Buffer.from(body) : body);
    this.call.complete();
  }

  fail(code: ErrorCode, detail: string): false {
    this.call.fail({ code, detail });
    return false;
  }

  /** No connection could be made: the call waits as if it had never been sent. @param detail where it can't */
  sendElsewhere(detail: string): void {
    const { refused } = this.#options;
    if (refused === undefined) this.fail("origin_error", detail);
    else {
      this.call.body.restore(this.#bytes);
      void refused();
    }
  }

  /** The connection broke before an answer. @param detail where the call is not run again */
  runAgain(detail: string): void {
    const { broke } = this.#options;
    if (broke === undefined) this.fail("origin_error", detail);
    else {
      this.call.body.restore(this.#bytes);
      void broke(() => this.fail("origin_error", detail));
    }
  }
}
