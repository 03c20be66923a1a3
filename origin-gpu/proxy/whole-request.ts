/** One request to an app whose answer is taken as a whole, within bounds. */
import type { Dispatcher } from "undici";

export interface WholeRequest {
  readonly path: string;
  readonly headers: readonly string[];
  readonly body: string;
}

export interface WholeAnswer {
  readonly status: number;
  /** Names and values in turn, as they came. */
  readonly rawHeaders: readonly Buffer[];
  readonly body: Buffer;
}

/** How far a request came that failed. */
export interface WholeFailure {
  readonly error: NodeJS.ErrnoException;
  /** A connection had it. */
  readonly isSent: boolean;
  /** An answer had begun. */
  readonly isAnswered: boolean;
}

export interface WholeOptions {
  readonly signal: AbortSignal;
  readonly maxBytes: number;
  /** Says why an answer is not wanted, when its head is here. */
  readonly refuse: (status: number, rawHeaders: readonly Buffer[]) => string | undefined;
}

/** Sends a POST. Never rejects. */
export async function askWhole(
  pool: Pick<Dispatcher, "dispatch">,
  { path, headers, body }: WholeRequest,
  options: WholeOptions,
): Promise<WholeAnswer | WholeFailure> {
  return await new Promise((resolve) => {
    const handler = new WholeRequestHandler(options, resolve);
    pool.dispatch({ method: "POST", path, headers: [...headers], body }, handler);
  });
}

class WholeRequestHandler implements Dispatcher.DispatchHandler {
  readonly #options: WholeOptions;
  readonly #resolve: (outcome: WholeAnswer | WholeFailure) => void;
  #isSent = false;
  #status = 0;
  #rawHeaders: readonly Buffer[] = [];
  readonly #chunks: Buffer[] = [];
  #bytes = 0;

  constructor(options: WholeOptions, resolve: (outcome: WholeAnswer | WholeFailure) => void) {
    this.#options = options;
    this.#resolve = resolve;
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#isSent = true;
    const { signal } = this.#options;
    const abort = (): void => controller.abort(signal.reason as Error);
    if (signal.aborted) abort();
    else signal.addEventListener("abort", abort, { once: true });
  }

  onResponseStart(controller: Dispatcher.DispatchController, status: number): void {
    // RFC 9110, 15.2: the final response is still to come.
    if (status < 200) return;
    this.#status = status;
    this.#rawHeaders = controller.rawHeaders as Buffer[];
    const problem = this.#options.refuse(status, this.#rawHeaders);
    if (problem !== undefined) controller.abort(new Error(problem));
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#bytes += chunk.length;
    this.#chunks.push(chunk);
    if (this.#bytes > this.#options.maxBytes) {
      controller.abort(new Error(`its answer is larger than ${this.#options.maxBytes} bytes`));
    }
  }

  onResponseEnd(): void {
    const body = Buffer.concat(this.#chunks);
    this.#resolve({ status: this.#status, rawHeaders: this.#rawHeaders, body });
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: NodeJS.ErrnoException): void {
    this.#resolve({ error, isSent: this.#isSent, isAnswered: this.#status > 0 });
  }
}
