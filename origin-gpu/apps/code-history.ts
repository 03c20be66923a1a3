/**
 * Which code each app has run on this box, newest first, in a file: the gateway keeps no code, so that a
 * rollback finds what it needs on a box, also after the box was started anew.
 */
import { rename, readFile, writeFile } from "node:fs/promises";
import * as z from "zod";
import { PRIVATE_FILE_MODE } from "../calls/store/files.ts";

/** Of each app, the one that runs included. */
const KEPT_SNAPSHOTS = 5;

const HISTORY = z.record(z.string(), z.array(z.string()));

export class CodeHistory {
  readonly #file: string;
  readonly #hashes: Map<string, readonly string[]>;

  private constructor(file: string, hashes: Map<string, readonly string[]>) {
    this.#file = file;
    this.#hashes = hashes;
  }

  /** A file that can't be read is an empty one: other boxes may have the code, and so has who deployed it. */
  static async open(file: string): Promise<CodeHistory> {
    const text = await readFile(file, "utf8").catch(() => "{}");
    return new CodeHistory(file, new Map(Object.entries(parse(text))));
  }

  /** Hashes of all apps. */
  get hashes(): string[] {
    return [...this.#hashes.values()].flat();
  }

  /** Notes what the apps run now, by app id; forgets the apps that are not among them. */
  async note(now: ReadonlyMap<string, readonly string[]>): Promise<void> {
    const before = JSON.stringify([...this.#hashes]);
    for (const app of this.#hashes.keys()) {
      if (!now.has(app)) this.#hashes.delete(app);
    }
    for (const [app, hashes] of now) {
      const all = new Set([...hashes, ...(this.#hashes.get(app) ?? [])]);
      this.#hashes.set(app, [...all].slice(0, Math.max(KEPT_SNAPSHOTS, hashes.length)));
    }
    if (JSON.stringify([...this.#hashes]) !== before) await this.#write();
  }

  async #write(): Promise<void> {
    const text = `${JSON.stringify(Object.fromEntries(this.#hashes))}\n`;
    const draft = `${this.#file}.new`;
    await writeFile(draft, text, { mode: PRIVATE_FILE_MODE, flush: true });
    await rename(draft, this.#file);
  }
}

function parse(text: string): Record<string, string[]> {
  try {
    return HISTORY.parse(JSON.parse(text));
  } catch {
    return {};
  }
}
