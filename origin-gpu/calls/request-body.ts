/**
 * A request body on its way from a stream to the app. The stream gets credit for each chunk that the app
 * takes. The app never takes a cut body for a whole one: a body that breaks off throws in its reader.
 */
import { Readable } from "node:stream";
import type { Stream } from "../../routing/wire/multiplexer.ts";
import { bodyBuffers } from "./body-buffers.ts";
import { type BodySpool, BodySpoolFullError } from "./body-spool.ts";
import type { Fingerprint, FingerprintReader } from "./fingerprint.ts";

const BROKE_OFF = "the request body broke off";

/** A body from the part on for which there is no room: in memory, from its stream to the app, or refused with its call. */
export type WithoutRoom = "kept" | "streamed" | "refused";

export class RequestBody {
  /** Gets credit for chunks that are taken; undefined when its sender is gone. */
  #stream: Stream | undefined;
  #chunks: Uint8Array[];
  #ended: boolean;
  #broken = false;
  #spool: BodySpool | undefined;
  /** Settles when the body is in the spool, or never will be. */
  #draining: Promise<void> | undefined;
  /** It goes to the app behind the spool, once: here is its first part, until the next one is asked for. */
  #rest: { first: Uint8Array | undefined } | undefined;
  #watcher: ((bytes: Uint8Array, end: boolean) => void) | undefined;
  /** Exists once the body is watched. */
  #fingerprint: PromiseWithResolvers<Fingerprint | undefined> | undefined;
  /** Exists while its reader has taken all that came, and waits for more. */
  #wake: (() => void) | undefined;
  #arrivedAt = Number.NEGATIVE_INFINITY;

  /**
   * @param stream undefined for a body that an earlier agent received
   * @param first the bytes that came with OPEN; they are copied
   * @param end the body is whole
   */
  constructor(stream: Stream | undefined, first: Uint8Array, end: boolean) {
    this.#stream = stream;
    this.#chunks = bodyBuffers.copy(first);
    this.#ended = end;
  }

  /** More may come. */
  get incomplete(): boolean {
    return !this.#ended;
  }

  /** When its last part came after the first one, in milliseconds of `performance.now()`. */
  get arrivedAt(): number {
    return this.#arrivedAt;
  }

  /** All that came has been taken, and more is to come: its sender is what is waited for. */
  get awaitsSender(): boolean {
    const isDraining = this.#spool !== undefined && this.#rest === undefined;
    return !this.#ended && (this.#wake !== undefined || isDraining);
  }

  /** The rest of the body comes over this stream. */
  comesOver(stream: Stream): boolean {
    return !this.#ended && this.#stream === stream;
  }

  /** Takes the body, if it is whole: null for an empty one, undefined for one that streams. */
  whole(): Uint8Array | null | undefined {
    if (!this.#ended || this.#broken || this.#spool !== undefined) return undefined;
    const chunks = this.#chunks;
    this.#chunks = [];
    const [first] = chunks;
    if (first === undefined) return null;
    // The pieces came while the container started; they are a window's worth at most.
    const body = chunks.length === 1 ? first : Buffer.concat(chunks);
    // A request of which all bytes are here may go out again.
    bodyBuffers.keep(body);
    this.#stream?.consume(body.length);
    return body;
  }

  /** All that came, and that comes, can be read again from its first byte. */
  get isSpooled(): boolean {
    const isTaken = this.#rest !== undefined && this.#rest.first === undefined;
    return this.#spool !== undefined && !isTaken && !this.#broken;
  }

  /** Gives back what `whole` took: the app did not get it. */
  restore(body: Uint8Array | null | undefined): void {
    if (body === null || body === undefined || this.#broken) return;
    if (this.#rest !== undefined) this.#dropSpool();
    // Its credit is granted, and its sender has sent everything.
    this.#stream = undefined;
    this.#chunks = [body];
  }

  /** Puts another body in the place of a whole one that waits. */
  replace(body: Uint8Array): void {
    if (!this.#ended || this.#broken) return;
    this.#dropSpool();
    this.#stream = undefined;
    this.#chunks = [body];
  }

  #dropSpool(): void {
    void this.#spool?.discard("it has another body");
    this.#spool = undefined;
    this.#rest = undefined;
  }

  /**
   * Copies a whole body that waits.
   * @returns undefined when it is not whole, not all of it in the spool, or longer than `maxBytes`
   */
  async collect(maxBytes: number): Promise<Uint8Array | undefined> {
    if (!this.#ended || this.#broken) return undefined;
    if (this.#spool !== undefined) {
      await this.#draining;
      if (this.#rest !== undefined) return undefined;
      return await this.#spool.collect(maxBytes);
    }
    if (this.waitingBytes > maxBytes) return undefined;
    return Buffer.concat(this.#chunks);
  }

  /** Bytes that have come, in memory or in the spool, of a body that waits. */
  get bytes(): number {
    return this.#spool?.bytes ?? this.waitingBytes;
  }

  /** Bytes that wait in memory. */
  get waitingBytes(): number {
    return this.#chunks.reduce((sum, chunk) => sum + chunk.length, 0);
  }

  /**
   * Frees memory of a body that waits: large buffers of small parts.
   * @param isSenderGone its stream gets no credit any more, and is freed too
   */
  compact(isSenderGone: boolean): void {
    if (isSenderGone) this.#stream = undefined;
    this.#chunks = this.#chunks.map((chunk) =>
      // A copy, which slice() of a Buffer is not.
      chunk.byteLength * 2 < chunk.buffer.byteLength ? new Uint8Array(chunk) : chunk,
    );
  }

  /**
   * Moves the body of a call that has to wait off its stream, so that its client can be sent away.
   * @throws BodySpoolFullError when there is no room for it, and its call is refused
   */
  async drainTo(spool: BodySpool, withoutRoom: () => WithoutRoom): Promise<void> {
    this.#spool = spool;
    const draining = this.#drain(spool, withoutRoom);
    this.#draining = draining.catch(() => undefined);
    await draining;
  }

  async #drain(spool: BodySpool, withoutRoom: () => WithoutRoom): Promise<void> {
    try {
      for await (const chunk of this.#arriving()) {
        try {
          await spool.append(chunk);
        } catch (error) {
          const how = error instanceof BodySpoolFullError ? withoutRoom() : "refused";
          if (how === "refused") throw error;
          if (how === "streamed") this.#rest = { first: chunk };
          else spool.keep(chunk);
        }
        if (this.#rest !== undefined) break;
        bodyBuffers.giveBack(chunk);
      }
      await spool.finish();
    } catch (error) {
      await spool.discard("the body broke off");
      throw error;
    }
  }

  /** Fingerprints the body as it comes. To be called in the turn of the first bytes. */
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

  /** The fingerprint, once the body is whole; undefined when it broke off or is not watched. */
  async fingerprint(): Promise<Fingerprint | undefined> {
    return await this.#fingerprint?.promise;
  }

  /** Takes the next part in. It is copied. */
  push(bytes: Uint8Array, end: boolean): void {
    this.#arrivedAt = performance.now();
    this.#watcher?.(bytes, end);
    this.#chunks.push(...bodyBuffers.copy(bytes));
    if (end) this.#ended = true;
    this.#wakeReader();
  }

  /** Gives the body up: it will not be completed, or its call is over. */
  abort(): void {
    this.#broken = true;
    this.#fingerprint?.resolve(undefined);
    this.#chunks = [];
    void this.#spool?.discard("the call is over");
    this.#wakeReader();
  }

  /** Gives up a body that need not be read further. Its sender goes on. */
  skip(): void {
    this.#stream?.consume(this.waitingBytes);
    this.abort();
  }

  #wakeReader(): void {
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
  }

  /** The body for an app's connection, which fails when it breaks off. To be asked for once, unless it is spooled. */
  readable(): Readable {
    if (this.#spool !== undefined) {
      return Readable.from(this.#spooled(this.#spool), { objectMode: false });
    }
    let passedOn = 0;
    const next = (): void => {
      const chunk = this.#chunks.shift();
      if (this.#broken) readable.destroy(new Error(BROKE_OFF));
      else if (chunk !== undefined) {
        passedOn = chunk.length;
        readable.push(chunk);
      } else if (this.#ended) readable.push(null);
      else this.#wake = next;
    };
    const readable = new Readable({
      highWaterMark: 1,
      read: () => {
        // Who asks for the next part has passed the one before on.
        this.#stream?.consume(passedOn);
        passedOn = 0;
        next();
      },
    });
    // A body may break off when the request is over, and the connection does not listen any more.
    readable.on("error", () => undefined);
    return readable;
  }

  /** The body, chunk by chunk. @throws when it breaks off */
  chunks(): AsyncGenerator<Uint8Array> {
    return this.#spool === undefined ? this.#arriving() : this.#spooled(this.#spool);
  }

  /** The spool's part, and the rest behind it. */
  async *#spooled(spool: BodySpool): AsyncGenerator<Uint8Array> {
    yield* spool.read();
    const rest = this.#rest;
    if (rest === undefined) return;
    const { first } = rest;
    if (first === undefined || this.#broken) throw new Error(BROKE_OFF);
    yield first;
    // Of a reader that ended meanwhile the next one takes it.
    rest.first = undefined;
    yield* this.#arriving();
  }

  async *#arriving(): AsyncGenerator<Uint8Array> {
    for (;;) {
      if (this.#broken) throw new Error(BROKE_OFF);
      const chunk = this.#chunks.shift();
      if (chunk === undefined) {
        if (this.#ended) return;
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
        continue;
      }
      try {
        yield chunk;
      } finally {
        // Also where the reader asks for no other one.
        this.#stream?.consume(chunk.length);
      }
    }
  }
}

const NOTHING = new Uint8Array(0);
