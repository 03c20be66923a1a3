/**
 * An isolate's memory of documents that issuers publish, by their URLs: their keys, and what they say of themselves.
 * Documents younger than ten minutes are used as they are, older ones while newer ones are fetched behind the request. A
 * token that names an unknown key makes the keys be fetched again, since the issuer may have a new one: at most once in
 * half a minute, so that forged tokens ask nobody else. Requests that need the same document share one fetch.
 *
 * They look for its end by timers of their own, since a request may not use what belongs to another one.
 */
const FRESH_MS = 600_000;
/** An issuer that can't be reached for so long does not vouch for its document any more. */
const USABLE_MS = 86_400_000;
/** Between two fetches for the sake of an unknown key. */
const COOL_DOWN_MS = 30_000;
/** After a fetch that failed. */
const FAILED_MS = 5_000;
/** How long a request waits for a document. */
const WAIT_MS = 5_000;
const POLL_MS = 5;

/** Issuers that an isolate remembers; then it forgets the oldest. */
const MAX_URLS = 256;

interface Entry<Document> {
  document?: Document;
  /** When the document was asked for, in milliseconds of the epoch. */
  documentAt: number;
  /** When it was last asked for, with whichever outcome. */
  triedAt: number;
  isLoading: boolean;
}

/** Fetches the text of a document. */
export type FetchText = (url: string) => Promise<string>;

export class PublishedDocuments<Document> {
  readonly #entries = new Map<string, Entry<Document>>();
  readonly #parse: (text: string) => Document | undefined;
  readonly #now: () => number;

  /**
   * @param parse undefined for a text that is no such document
   * @param now milliseconds of the epoch
   */
  constructor(parse: (text: string) => Document | undefined, now: () => number = Date.now) {
    this.#parse = parse;
    this.#now = now;
  }

  /**
   * The document under a URL; undefined where it can't be had.
   * @param waitUntil keeps a fetch alive behind its request
   */
  async find(
    url: string,
    fetchText: FetchText,
    waitUntil: (work: Promise<unknown>) => void,
  ): Promise<Document | undefined> {
    const entry = this.#entry(url);
    const age = this.#now() - entry.documentAt;
    if (entry.document !== undefined && age < USABLE_MS) {
      if (age >= FRESH_MS && this.#mayTry(entry, FAILED_MS)) {
        waitUntil(this.#load(entry, url, fetchText));
      }
      return entry.document;
    }
    await this.#loaded(entry, url, fetchText, waitUntil, FAILED_MS);
    return this.#now() - entry.documentAt < USABLE_MS ? entry.document : undefined;
  }

  /** The same for a caller that has met an unknown key: newer ones, unless the last ones are very new. */
  async findNewer(
    url: string,
    fetchText: FetchText,
    waitUntil: (work: Promise<unknown>) => void,
  ): Promise<Document | undefined> {
    const entry = this.#entry(url);
    await this.#loaded(entry, url, fetchText, waitUntil, COOL_DOWN_MS);
    return entry.document;
  }

  /** Loads the document unless that was tried lately; waits for a load that another request began. */
  async #loaded(
    entry: Entry<Document>,
    url: string,
    fetchText: FetchText,
    waitUntil: (work: Promise<unknown>) => void,
    pauseMs: number,
  ): Promise<void> {
    if (entry.isLoading) {
      const until = this.#now() + WAIT_MS;
      while (entry.isLoading && this.#now() < until) await scheduler.wait(POLL_MS);
      return;
    }
    if (!this.#mayTry(entry, pauseMs)) return;
    const loading = this.#load(entry, url, fetchText);
    waitUntil(loading);
    await loading;
  }

  #mayTry({ isLoading, triedAt }: Entry<Document>, pauseMs: number): boolean {
    return !isLoading && this.#now() - triedAt >= pauseMs;
  }

  /** Never rejects. */
  async #load(entry: Entry<Document>, url: string, fetchText: FetchText): Promise<void> {
    const at = this.#now();
    entry.isLoading = true;
    entry.triedAt = at;
    try {
      const document = this.#parse(await fetchText(url));
      if (document === undefined) return;
      entry.document = document;
      entry.documentAt = at;
    } catch {
      // The document that is known goes on being used.
    } finally {
      entry.isLoading = false;
    }
  }

  #entry(url: string): Entry<Document> {
    const known = this.#entries.get(url);
    if (known !== undefined) return known;
    if (this.#entries.size >= MAX_URLS) {
      for (const oldest of this.#entries.keys()) {
        this.#entries.delete(oldest);
        break;
      }
    }
    const entry: Entry<Document> = { documentAt: -Infinity, triedAt: -Infinity, isLoading: false };
    this.#entries.set(url, entry);
    return entry;
  }
}
