/**
 * A request body on its way from a stream to the app, with credit for what the app took. The app never
 * takes a body that was cut for a whole one: what breaks here becomes an error of the reader.
 */
import type { Stream } from "../../routing/wire/multiplexer.ts";
import type { BodySpool } from "./body-spool.ts";
import type { Fingerprint, FingerprintReader } from "./fingerprint.ts";

export class RequestBody {
  /** Gives credit for what is taken; gone where nobody sends any more. */
  #stream: Stream | undefined;
  #chunks: Uint8Array[];
  #ended: boolean;
  #broken = false;
  #spool: BodySpool | undefined;
  #watcher: ((bytes: Uint8Array, end: boolean) => void) | undefined;
  /** Only where somebody watches: most bodies are nobody's business. */
  #fingerprint: PromiseWithResolvers<Fingerprint | undefined> | undefined;
  #wake: (() => void) | undefined;

  /** @param first what came with OPEN @param end nothing more will come */
  constructor(stream: Stream, first: Uint8Array, end: boolean) {
    this.#stream = stream;
    this.#chunks = first.length === 0 ? [] : [first];
    this.#ended = end;
  }

  /** More may come. */
  get incomplete(): boolean {
    return !this.#ended;
  }

  /** More of it is to come over this very stream. */
  comesOver(stream: Stream): boolean {
    return !this.#ended && this.#stream === stream;
  }

  /** The whole body, when all of it is here already: null for none, undefined when it streams. */
  whole(): Uint8Array | null | undefined {
    if (!this.#ended || this.#broken || this.#spool !== undefined) return undefined;
    const chunks = this.#chunks;
    this.#chunks = [];
    const [first] = chunks;
    if (first === undefined) return null;
    // It may have come in pieces while the container started; at most a window of it is here.
    const body = chunks.length === 1 ? first : Buffer.concat(chunks);
    this.#stream?.drained(body.length);
    return body;
  }

  /** Bytes that wait in memory. */
  get waitingBytes(): number {
    return this.#chunks.reduce((sum, chunk) => sum + chunk.length, 0);
  }

  /** The body is whole and its sender gone: keeps neither the stream nor the large buffers of small parts. */
  compact(): void {
    this.#stream = undefined;
    this.#chunks = this.#chunks.map((chunk) =>
      // A copy, which slice() of a Buffer is not.
      chunk.byteLength * 2 < chunk.buffer.byteLength ? new Uint8Array(chunk) : chunk,
    );
  }

  /**
   * The call has to wait: takes the body off the stream, so that its client can be told to come back.
   * @throws BodySpoolFullError when there is no room for it
   */
  async drainTo(spool: BodySpool): Promise<void> {
    this.#spool = spool;
    try {
      for await (const chunk of this.#arriving()) await spool.append(chunk);
      await spool.finish();
    } catch (error) {
      await spool.discard("the body broke off");
      throw error;
    }
  }

  /** Reads the fingerprint of the body as it comes; to be called before more of it does. */
  watch(reader: FingerprintReader, whole: (fingerprint: Fingerprint) => void): void {
    const watched = Promise.withResolvers<Fingerprint | undefined>();
    this.#fingerprint = watched;
    const take = (bytes: Uint8Array, end: boolean): void => {
      reader.push(bytes);
      if (!end) return;
      const fingerprint = reader.finish();
      whole(fingerprint);
      watched.resolve(fingerprint);
    };
    for (const chunk of this.#chunks) take(chunk, false);
    if (this.#ended) take(NOTHING, true);
    else this.#watcher = take;
  }

  /** What was watched, once the body is whole; undefined when it broke off, or nobody watched. */
  async fingerprint(): Promise<Fingerprint | undefined> {
    return await this.#fingerprint?.promise;
  }

  push(bytes: Uint8Array, end: boolean): void {
    this.#watcher?.(bytes, end);
    if (bytes.length > 0) this.#chunks.push(bytes);
    if (end) this.#ended = true;
    this.#wake?.();
  }

  /** The body will not be completed, or nobody wants it any more. */
  broke(): void {
    this.#broken = true;
    this.#fingerprint?.resolve(undefined);
    this.#chunks = [];
    void this.#spool?.discard("the call is over");
    this.#wake?.();
  }

  /** The body, chunk by chunk. @throws when it broke off */
  chunks(): AsyncGenerator<Uint8Array> {
    return this.#spool === undefined ? this.#arriving() : this.#spool.read();
  }

  async *#arriving(): AsyncGenerator<Uint8Array> {
    for (;;) {
      if (this.#broken) throw new Error("the request body broke off");
      const chunk = this.#chunks.shift();
      if (chunk === undefined) {
        if (this.#ended) return;
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
        continue;
      }
      yield chunk;
      this.#stream?.drained(chunk.length);
    }
  }
}

const NOTHING = new Uint8Array(0);
