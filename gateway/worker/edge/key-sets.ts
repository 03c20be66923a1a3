/**
 * An isolate's memory of the keys of other issuers, by the URL that publishes them. Keys younger than ten minutes are
 * used as they are, older ones while newer ones are fetched behind the request. A token that names an unknown key makes
 * the keys be fetched again, since the issuer may have a new one: at most once in half a minute, so that forged tokens
 * ask nobody else. Requests that need the same keys share one fetch.
 *
 * They look for its end by timers of their own, since a request may not use what belongs to another one.
 */
import { JwtKeys } from "../../../auth/jwt.ts";

const FRESH_MS = 600_000;
/** An issuer that can't be reached for so long does not vouch for its keys any more. */
const USABLE_MS = 86_400_000;
/** Between two fetches for the sake of an unknown key. */
const COOL_DOWN_MS = 30_000;
/** After a fetch that failed. */
const FAILED_MS = 5_000;
/** How long a request waits for keys. */
const WAIT_MS = 5_000;
const POLL_MS = 5;

/** Issuers that an isolate remembers; then it forgets the oldest. */
const MAX_URLS = 256;

interface Entry {
  keys?: JwtKeys;
  /** When the keys were asked for, in milliseconds of the epoch. */
  keysAt: number;
  /** When they were last asked for, with whichever outcome. */
  triedAt: number;
  isLoading: boolean;
}

/** Fetches the text of a JWK set. */
export type FetchKeys = (url: string) => Promise<string>;

export class KeySets {
  readonly #entries = new Map<string, Entry>();
  readonly #now: () => number;

  /** @param now milliseconds of the epoch */
  constructor(now: () => number = Date.now) {
    this.#now = now;
  }

  /**
   * The keys under a URL; undefined where they can't be had.
   * @param waitUntil keeps a fetch alive behind its request
   */
  async find(
    url: string,
    fetchKeys: FetchKeys,
    waitUntil: (work: Promise<unknown>) => void,
  ): Promise<JwtKeys | undefined> {
    const entry = this.#entry(url);
    const age = this.#now() - entry.keysAt;
    if (entry.keys !== undefined && age < USABLE_MS) {
      if (age >= FRESH_MS && this.#mayTry(entry, FAILED_MS)) {
        waitUntil(this.#load(entry, url, fetchKeys));
      }
      return entry.keys;
    }
    await this.#loaded(entry, url, fetchKeys, waitUntil, FAILED_MS);
    return this.#now() - entry.keysAt < USABLE_MS ? entry.keys : undefined;
  }

  /** The same for a caller that has met an unknown key: newer ones, unless the last ones are very new. */
  async findNewer(
    url: string,
    fetchKeys: FetchKeys,
    waitUntil: (work: Promise<unknown>) => void,
  ): Promise<JwtKeys | undefined> {
    const entry = this.#entry(url);
    await this.#loaded(entry, url, fetchKeys, waitUntil, COOL_DOWN_MS);
    return entry.keys;
  }

  /** Loads the keys unless that was tried lately; waits for a load that another request began. */
  async #loaded(
    entry: Entry,
    url: string,
    fetchKeys: FetchKeys,
    waitUntil: (work: Promise<unknown>) => void,
    pauseMs: number,
  ): Promise<void> {
    if (entry.isLoading) {
      const until = this.#now() + WAIT_MS;
      while (entry.isLoading && this.#now() < until) await scheduler.wait(POLL_MS);
      return;
    }
    if (!this.#mayTry(entry, pauseMs)) return;
    const loading = this.#load(entry, url, fetchKeys);
    waitUntil(loading);
    await loading;
  }

  #mayTry({ isLoading, triedAt }: Entry, pauseMs: number): boolean {
    return !isLoading && this.#now() - triedAt >= pauseMs;
  }

  /** Never rejects. */
  async #load(entry: Entry, url: string, fetchKeys: FetchKeys): Promise<void> {
    const at = this.#now();
    entry.isLoading = true;
    entry.triedAt = at;
    try {
      const keys = JwtKeys.parse(await fetchKeys(url));
      if (keys === undefined) return;
      entry.keys = keys;
      entry.keysAt = at;
    } catch {
      // The keys that are known go on being used.
    } finally {
      entry.isLoading = false;
    }
  }

  #entry(url: string): Entry {
    const known = this.#entries.get(url);
    if (known !== undefined) return known;
    if (this.#entries.size >= MAX_URLS) {
      for (const oldest of this.#entries.keys()) {
        this.#entries.delete(oldest);
        break;
      }
    }
    const entry: Entry = { keysAt: -Infinity, triedAt: -Infinity, isLoading: false };
    this.#entries.set(url, entry);
    return entry;
  }
}
