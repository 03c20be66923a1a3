/** Asks the gateway's API with a person's token. It reads alone, and sends the token nowhere else. */

const TIMEOUT_MS = 15_000;

/** The most that the API gives. */
const PAGE_ITEMS = 100;

/** The gateway answered, and the answer is no. */
export class RefusedRequest extends Error {
  readonly status: number;

  constructor(status: number, words: string) {
    super(words);
    this.status = status;
  }
}

/** Items of a list, and whether it has more. */
export interface ReadList<Item> {
  readonly items: readonly Item[];
  readonly hasMore: boolean;
}

interface ListPage<Item> {
  readonly items: readonly Item[];
  readonly next_cursor: string | null;
}

export class ApiReader {
  readonly #token: string;
  readonly #signal: AbortSignal;

  /** @param signal ends its requests */
  constructor(token: string, signal: AbortSignal) {
    this.#token = token;
    this.#signal = signal;
  }

  /**
   * @param path below `/api/v1`
   * @throws {RefusedRequest} with the API's words where it refuses
   * @throws {Error} where no gateway answers
   */
  async get<Document>(path: string): Promise<Document> {
    const response = await fetch(`/api/v1${path}`, {
      headers: { accept: "application/json", authorization: `Bearer ${this.#token}` },
      cache: "no-store",
      credentials: "omit",
      redirect: "error",
      signal: AbortSignal.any([this.#signal, AbortSignal.timeout(TIMEOUT_MS)]),
    });
    const text = await response.text();
    if (response.ok) return JSON.parse(text) as Document;
    throw new RefusedRequest(response.status, wordsOf(text) ?? `it answered ${response.status}`);
  }

  /** Reads a list page by page. @param most so many items at most */
  async list<Item>(path: string, most: number): Promise<ReadList<Item>> {
    const items: Item[] = [];
    let cursor: string | null = null;
    do {
      const limit = Math.min(PAGE_ITEMS, most - items.length);
      const query = new URLSearchParams({ limit: `${limit}`, ...(cursor !== null && { cursor }) });
      const joint = path.includes("?") ? "&" : "?";
      const page: ListPage<Item> = await this.get(`${path}${joint}${query.toString()}`);
      items.push(...page.items);
      cursor = page.next_cursor;
    } while (cursor !== null && items.length < most);
    return { items, hasMore: cursor !== null };
  }
}

/** The words of a problem document; undefined where it is none. */
function wordsOf(text: string): string | undefined {
  try {
    const { title, detail } = JSON.parse(text) as { title?: string; detail?: string };
    return detail || title;
  } catch {
    return undefined;
  }
}
