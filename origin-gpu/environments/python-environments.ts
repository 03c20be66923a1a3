/**
 * Python environments for lists of requirements, each made once for an interpreter and kept: for all
 * endpoints, versions and agents that share the directory. One that is in use is never removed, one that
 * was left half made is never used.
 */
import { createHash } from "node:crypto";
import { mkdir, readdir, rm, stat, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { PRIVATE_DIRECTORY_MODE } from "../calls/files.ts";
import { type FileLock, lock, tryLock } from "./file-lock.ts";
import { identify, install, type Interpreter, type Surroundings } from "./install.ts";

/** Beyond these, those that were used longest ago go, unless they are in use. */
const KEPT_ENVIRONMENTS = 20;

const KEY = /^[0-9a-f]{32}$/;
const MARKER = "complete";

export interface PythonEnvironmentsOptions {
  /** May be shared by agents. */
  readonly directory: string;
  /** The agent's own environment. */
  readonly inherited: Surroundings["inherited"];
  /** @defaultValue 20 */
  readonly kept?: number;
}

export interface PythonRequest {
  /** The base interpreter: a name for PATH, or a path from `directory`. */
  readonly python: string;
  readonly directory: string;
  readonly requirements: readonly string[];
  /** What the installer prints, line by line. */
  readonly log: (line: string) => void;
}

export interface PythonLease {
  /** The environment's interpreter, absolute. */
  readonly python: string;
  /** It is not used any more. */
  release(): void;
}

export class PythonEnvironments {
  readonly #directory: string;
  readonly #inherited: Surroundings["inherited"];
  readonly #kept: number;
  readonly #making = new Map<string, Promise<void>>();
  readonly #closed = new AbortController();

  constructor({ directory, inherited, kept = KEPT_ENVIRONMENTS }: PythonEnvironmentsOptions) {
    this.#directory = directory;
    this.#inherited = inherited;
    this.#kept = kept;
  }

  /**
   * An environment with these requirements, made where it is missing: that takes as long as it takes.
   * @throws StartFailure with what the installer printed last; an AbortError after `close`
   */
  async use({ python, directory, requirements, log }: PythonRequest): Promise<PythonLease> {
    const signal = this.#closed.signal;
    const surroundings = { inherited: this.#inherited, log, signal };
    const interpreter = await identify(python, directory, surroundings);
    const key = keyOf(interpreter, requirements);
    await mkdir(this.#directory, { recursive: true, mode: PRIVATE_DIRECTORY_MODE });
    for (;;) {
      const use = await this.#tryUse(key);
      if (use !== undefined) {
        return {
          python: join(this.#directory, key, "bin", "python"),
          release: () => use.release(),
        };
      }
      await this.#make(key, () =>
        install(join(this.#directory, key), interpreter, requirements, surroundings),
      );
    }
  }

  /** Ends what is being made; later uses are refused. Leases stay good. */
  async close(): Promise<void> {
    this.#closed.abort();
    await Promise.allSettled(this.#making.values());
  }

  /** Undefined where it has to be made first. */
  async #tryUse(key: string): Promise<FileLock | undefined> {
    const use = await lock(this.#lockOf(key), "shared", this.#closed.signal);
    if (await this.#isComplete(key)) {
      const now = new Date();
      await utimes(this.#markerOf(key), now, now);
      return use;
    }
    use.release();
    return undefined;
  }

  /** Whoever asks meanwhile waits for the same, here by the promise and elsewhere by the lock. */
  async #make(key: string, installInto: () => Promise<void>): Promise<void> {
    const present = this.#making.get(key);
    if (present !== undefined) return await present;
    const making = this.#makeLocked(key, installInto);
    this.#making.set(key, making);
    try {
      await making;
    } finally {
      this.#making.delete(key);
    }
    await this.#prune();
  }

  async #makeLocked(key: string, installInto: () => Promise<void>): Promise<void> {
    const directory = join(this.#directory, key);
    const making = await lock(this.#lockOf(key), "exclusive", this.#closed.signal);
    try {
      if (await this.#isComplete(key)) return;
      // Whoever began it before has not ended it.
      await rm(directory, { recursive: true, force: true });
      await installInto();
      await writeFile(this.#markerOf(key), "");
    } catch (error) {
      await rm(directory, { recursive: true, force: true });
      throw error;
    } finally {
      making.release();
    }
  }

  /** Removes what was left half made, and what was used longest ago. */
  async #prune(): Promise<void> {
    const keys = (await readdir(this.#directory)).filter((name) => KEY.test(name));
    const used = await Promise.all(
      keys.map(async (key) => {
        const marker = await stat(this.#markerOf(key)).catch(() => undefined);
        return { key, usedAtMs: marker?.mtimeMs ?? -Infinity };
      }),
    );
    const byAge = used.toSorted((first, second) => second.usedAtMs - first.usedAtMs);
    for (const [index, { key, usedAtMs }] of byAge.entries()) {
      if (index < this.#kept && usedAtMs !== -Infinity) continue;
      const alone = tryLock(this.#lockOf(key), "exclusive");
      if (alone === undefined) continue;
      try {
        // First, so that nobody uses what is being removed.
        await rm(this.#markerOf(key), { force: true });
        await rm(join(this.#directory, key), { recursive: true, force: true });
      } finally {
        alone.release();
      }
    }
  }

  async #isComplete(key: string): Promise<boolean> {
    return await stat(this.#markerOf(key)).then(
      () => true,
      () => false,
    );
  }

  #markerOf(key: string): string {
    return join(this.#directory, key, MARKER);
  }

  #lockOf(key: string): string {
    return join(this.#directory, `${key}.lock`);
  }
}

/** Of one interpreter and one set of requirements, in whatever order. */
function keyOf({ identity }: Interpreter, requirements: readonly string[]): string {
  const list = [...new Set(requirements.map((line) => line.trim()))].toSorted();
  return createHash("sha256")
    .update(JSON.stringify([identity, list]))
    .digest("hex")
    .slice(0, 32);
}
