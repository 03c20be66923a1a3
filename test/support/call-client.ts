/**
 * A client of slow work that follows redirects, keeps the last result URL, and names how it all ended in
 * one word: what the fault matrix counts.
 */
import { open, readAll, type RequestOptions, type Address } from "./http-client.ts";
import { answerOf } from "./stages.ts";

/** An end that is none of these is a wrong one, and its words say what it was. */
export type Outcome =
  /** The whole right answer. */
  | "answer"
  /** The connection broke where the client could see it. */
  | "broken"
  /** Nothing came within the client's time. */
  | "hangs"
  /** The code of a clear error. */
  | (string & {});

/** Longer than a pause may be. */
const PATIENCE_MS = 40_000;
const MOST_HOPS = 100;
/** What Node calls a connection that was refused, reset, or closed in the middle. */
const BROKEN: ReadonlySet<string | undefined> = new Set([
  "ECONNREFUSED",
  "ECONNRESET",
  "EPIPE",
  "ERR_STREAM_PREMATURE_CLOSE",
]);
/** A box that dials again is away for a moment. */
const AWAY_CODE = "no_origin";
const AGAIN_AFTER_MS = 100;

export class CallClient {
  readonly key: string;
  readonly #address: Address;
  readonly #options: RequestOptions;
  /** How it ended. */
  readonly outcome: Promise<Outcome>;
  /** Resolves when the client has been sent to a result URL for the first time. */
  readonly sentOn: Promise<void>;
  readonly #sentOn: () => void;
  /** Resolves when the first response head is here, redirects not counted. */
  readonly headed: Promise<void>;
  readonly #headed: () => void;
  #resultUrl: string | undefined;

  constructor(address: Address, key: string, options: RequestOptions) {
    this.key = key;
    this.#address = address;
    this.#options = options;
    ({ promise: this.sentOn, resolve: this.#sentOn } = Promise.withResolvers<void>());
    ({ promise: this.headed, resolve: this.#headed } = Promise.withResolvers<void>());
    this.outcome = this.#ask(this.#path, { method: "POST", ...options });
  }

  /** Asks again as somebody who knows the call would: by its result URL, else under its key. */
  async comeBack(body: string): Promise<Outcome | undefined> {
    const again = { method: "POST", body, headers: this.#options.headers ?? {} };
    const keyed = Object.hasOwn(again.headers, "idempotency-key");
    if (this.#resultUrl === undefined && !keyed) return undefined;
    for (const until = performance.now() + PATIENCE_MS; ;) {
      const outcome =
        this.#resultUrl === undefined
          ? await this.#ask(this.#path, again)
          : await this.#ask(this.#resultUrl, {});
      if (outcome !== AWAY_CODE || performance.now() > until) return outcome;
      await new Promise((resolve) => setTimeout(resolve, AGAIN_AFTER_MS));
    }
  }

  /** It has been sent to a result URL. */
  get isSentOn(): boolean {
    return this.#resultUrl !== undefined;
  }

  get #path(): string {
    return `/work?key=${encodeURIComponent(this.key)}`;
  }

  async #ask(first: string, options: RequestOptions): Promise<Outcome> {
    const deadline = performance.now() + PATIENCE_MS;
    let path = first;
    let request = options;
    try {
      for (let hop = 0; hop < MOST_HOPS; hop += 1) {
        const timeoutMs = Math.max(1, Math.round(deadline - performance.now()));
        const response = await open(this.#address, path, { ...request, timeoutMs });
        if (response.statusCode !== 303 && response.statusCode !== 202) {
          this.#headed();
          return this.#judge(response.statusCode, (await readAll(response)).toString("utf8"));
        }
        response.resume();
        path = response.headers.location ?? "";
        this.#resultUrl = path;
        this.#sentOn();
        request = {};
      }
      return "redirected for ever";
    } catch (error) {
      const { name, code } = error as NodeJS.ErrnoException;
      if (name === "TimeoutError" || code === "ABORT_ERR") return "hangs";
      if (BROKEN.has(code)) return "broken";
      throw error;
    }
  }

  #judge(status: number | undefined, text: string): Outcome {
    if (status === 200) return text === answerOf(this.key) ? "answer" : "wrong answer";
    try {
      return (JSON.parse(text) as { code: string }).code;
    } catch {
      return `status ${status}`;
    }
  }
}
