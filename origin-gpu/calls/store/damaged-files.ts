/**
 * Result files that are damaged beyond mending. They are kept under another name, for the operator, within bounds; the
 * agent never reads them.
 */
import { join } from "node:path";
import { type Files, linkAside, removeFile } from "./files.ts";

const SUFFIX = ".damaged";

const MAX_KEPT = 100;

/** A damaged file, to be told to the operator. */
export interface DamagedFile {
  readonly path: string;
  /** In how many places of it responses are lost. */
  readonly places: number;
  /** Its second name; undefined where the file system gives none. */
  readonly asidePath: string | undefined;
}

export interface DamagedFilesOptions {
  files: Files;
  directory: string;
  /** Bytes of the files that are kept. The newest one is kept even if it is larger. */
  maxBytes: number;
  onDamaged: (file: DamagedFile) => void;
}

export class DamagedFiles {
  readonly #options: DamagedFilesOptions;
  /** Bytes of each file that is kept, by its path, oldest first. */
  readonly #kept = new Map<string, number>();
  #keptBytes = 0;

  private constructor(options: DamagedFilesOptions) {
    this.#options = options;
  }

  /** Finds those that an earlier agent has kept. */
  static async open(options: DamagedFilesOptions): Promise<DamagedFiles> {
    const damaged = new DamagedFiles(options);
    const { files, directory } = options;
    for (const name of (await files.readdir(directory)).sort()) {
      if (!name.endsWith(SUFFIX)) continue;
      const path = join(directory, name);
      damaged.#note(path, (await files.stat(path)).size);
    }
    return damaged;
  }

  /**
   * Gives a file its second name and tells of it. The first name stays: a pack may have other responses. Never
   * rejects.
   */
  async putAside(path: string, bytes: number, places: number): Promise<void> {
    const { files, onDamaged } = this.#options;
    const asidePath = await linkAside(files, path, path + SUFFIX);
    if (asidePath !== undefined) {
      this.#note(asidePath, bytes);
      await this.#removeOldest();
    }
    onDamaged({ path, places, asidePath });
  }

  #note(path: string, bytes: number): void {
    this.#forget(path);
    this.#kept.set(path, bytes);
    this.#keptBytes += bytes;
  }

  #forget(path: string): void {
    this.#keptBytes -= this.#kept.get(path) ?? 0;
    this.#kept.delete(path);
  }

  async #removeOldest(): Promise<void> {
    for (const path of this.#kept.keys()) {
      const fits = this.#kept.size <= MAX_KEPT && this.#keptBytes <= this.#options.maxBytes;
      if (fits || this.#kept.size === 1) return;
      this.#forget(path);
      // One that cannot be removed now is found again at the next start.
      await removeFile(this.#options.files, path).catch(() => undefined);
    }
  }
}

/** Tells the operator of result files that are not as they were written: a line each. */
export function damageNotices(notice: (line: string) => void) {
  return {
    onDamaged: (file: DamagedFile) => notice(describeDamagedFile(file)),
    onMended: (path: string, bits: number) =>
      notice(`postern: flipped bits of ${path} were mended: ${bits}`),
    onUnreadable: (path: string, error: Error) =>
      notice(`postern: ${path} can't be read, its responses are missing: ${error.message}`),
  };
}

function describeDamagedFile({ path, places, asidePath }: DamagedFile): string {
  const aside =
    asidePath === undefined ? "it could not be put aside" : `it is kept as ${asidePath}`;
  return `postern: ${path} is damaged in ${places} places: responses are lost; ${aside}`;
}
