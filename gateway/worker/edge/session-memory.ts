/**
 * An isolate's memory of where sessions are: the box of each session key, by endpoint. A cache: the truth is signed into
 * cookies, or kept with the boxes. Bounded; the keys that were used longest ago are forgotten first.
 */

/** A hundred bytes or two each. */
const MAX_KEYS = 50_000;

export class SessionMemory {
  readonly #maxKeys: number;
  /** In the order of their last use. */
  readonly #boxes = new Map<string, string>();

  constructor(maxKeys: number = MAX_KEYS) {
    this.#maxKeys = maxKeys;
  }

  /** The box of a key. @param endpoint tells it from those of other endpoints and workspaces */
  boxOf(endpoint: string, key: string): string | undefined {
    const name = `${endpoint}\n${key}`;
    const box = this.#boxes.get(name);
    if (box !== undefined) this.#put(name, box);
    return box;
  }

  remember(endpoint: string, keys: readonly string[], box: string): void {
    for (const key of keys) this.#put(`${endpoint}\n${key}`, box);
    for (const oldest of this.#boxes.keys()) {
      if (this.#boxes.size <= this.#maxKeys) break;
      this.#boxes.delete(oldest);
    }
  }

  #put(name: string, box: string): void {
    this.#boxes.delete(name);
    this.#boxes.set(name, box);
  }
}
