/**
 * Gives the Python interpreter of an endpoint: the one that it names, or that of an environment with its requirements.
 * An environment is made once for an interpreter and a list, and kept for all endpoints, versions and agents that
 * share the directory. One that is in use is never removed. One that was left half made is never used.
 */
import { createHash } from "node:crypto";
import { mkdir, readdir, rm, stat, utimes, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { type AppUser, removeTree } from "../app-user.ts";
import { PRIVATE_DIRECTORY_MODE } from "../calls/store/files.ts";
import { StartFailure, type UsedPython, type UsePython } from "../containers/container.ts";
import { type FileLock, lock, tryLock, untilAskedAgain } from "../../base/node/file-lock.ts";
import { identify, install, type Interpreter, type InstallDeps } from "./install.ts";

/** Beyond these, those that were used longest ago go, unless they are in use. */
const KEPT_ENVIRONMENTS = 20;

const KEY = /^[0-9a-f]{32}$/;

export interface PythonEnvironmentsOptions {
  /** May be shared by agents. Without one, endpoints with requirements don't start. */
  readonly directory: string | undefined;
  /** The agent's own environment variables. */
  readonly inherited: InstallDeps["inherited"];
  /** Makes and gets environments of its own, in its own place. */
  readonly user?: AppUser | undefined;
  readonly kept?: number;
}

export class PythonEnvironments {
  readonly #directory: string | undefined;
  readonly #inherited: InstallDeps["inherited"];
  readonly #user: AppUser | undefined;
  readonly #kept: number;
  readonly #making = new Map<string, Promise<void>>();
  readonly #closed = new AbortController();

  constructor({ directory, inherited, user, kept = KEPT_ENVIRONMENTS }: PythonEnvironmentsOptions) {
    this.#directory = directory === undefined ? undefined : resolve(directory);
    this.#inherited = inherited;
    this.#user = user;
    this.#kept = kept;
  }

  /**
   * The interpreter of an endpoint, made where it is missing: that takes as long as it takes.
   * @param log what the installer prints, line by line
   * @throws StartFailure with what the installer printed last
   */
  readonly use: UsePython = async ({ python, directory, requirements }, log) => {
    if (requirements === undefined) return { python, release: () => undefined };
    const records = this.#directory;
    if (records === undefined) {
      const message = "requirements need a state directory for their Python environment";
      throw new StartFailure("starting_failed", message);
    }
    const user = this.#user;
    const environments = user === undefined ? records : join(user.directory, "environments");
    const deps = { inherited: this.#inherited, user, log, signal: this.#closed.signal };
    const interpreter = await identify(python, directory, deps);
    return await this.#use({ records, environments, user }, interpreter, requirements, deps);
  };

  /** Ends the making of environments and refuses later ones. Environments that are in use stay usable. */
  async close(): Promise<void> {
    this.#closed.abort(new StartFailure("starting_failed", "the agent stops"));
    await Promise.allSettled(this.#making.values());
  }

  async #use(
    shelf: Shelf,
    interpreter: Interpreter,
    requirements: readonly string[],
    deps: InstallDeps,
  ): Promise<UsedPython> {
    await mkdir(shelf.records, { recursive: true, mode: PRIVATE_DIRECTORY_MODE });
    const key = keyOf(interpreter, requirements, shelf.user);
    const place = new Place(shelf, key);
    for (;;) {
      // Who asks meanwhile waits for the same, and hears of the same failure.
      const present = this.#making.get(key);
      if (present !== undefined) {
        await present;
        continue;
      }
      const use = await place.tryUse(deps.signal);
      if (use !== undefined) return { python: place.python, release: () => use.release() };
      if (this.#making.has(key)) continue;
      const making = make(place, interpreter, requirements, deps);
      this.#making.set(key, making);
      try {
        await making;
      } finally {
        this.#making.delete(key);
      }
      await prune(shelf, this.#kept);
    }
  }
}

/** Where environments are, and what is known of them: beside each other, unless they are another user's. */
interface Shelf {
  /** The agent's alone: no link of an app's user leads it elsewhere. */
  readonly records: string;
  readonly environments: string;
  readonly user: AppUser | undefined;
}

/** One environment on the disk. */
class Place {
  readonly directory: string;
  /** Of the requirements, for the installer. */
  readonly list: string;
  readonly lockFile: string;
  readonly #marker: string;
  readonly #user: AppUser | undefined;

  constructor({ records, environments, user }: Shelf, key: string) {
    this.directory = join(environments, key);
    this.list = join(environments, `${key}.txt`);
    this.lockFile = join(records, `${key}.lock`);
    this.#marker = join(records, `${key}.complete`);
    this.#user = user;
  }

  get python(): string {
    return join(this.directory, "bin", "python");
  }

  /** Undefined where it has to be made first. */
  async tryUse(signal: AbortSignal): Promise<FileLock | undefined> {
    const use = await lock(this.lockFile, "shared", signal);
    if ((await this.usedAtMs()) === undefined) {
      use.release();
      return undefined;
    }
    const now = new Date();
    await utimes(this.#marker, now, now);
    return use;
  }

  /** When it was last begun to be used; undefined where it is not whole. */
  async usedAtMs(): Promise<number | undefined> {
    const [marker] = await Promise.all([stat(this.#marker), stat(this.directory)]).catch(() => []);
    return marker?.mtimeMs;
  }

  async complete(): Promise<void> {
    await writeFile(this.#marker, "");
  }

  async remove(): Promise<void> {
    // First, so that nobody uses what is being removed.
    await rm(this.#marker, { force: true });
    await rm(this.list, { force: true });
    await removeTree(this.directory, this.#user);
  }
}

/** Makes it, unless another agent does: then this comes back when that one has. */
async function make(
  place: Place,
  interpreter: Interpreter,
  requirements: readonly string[],
  deps: InstallDeps,
): Promise<void> {
  const { log, signal } = deps;
  let alone = tryLock(place.lockFile, "exclusive");
  while (alone === undefined) {
    await untilAskedAgain(signal);
    // Not waited for to the end: who has made it goes on to use it, for as long as its app runs.
    if ((await place.usedAtMs()) !== undefined) return;
    alone = tryLock(place.lockFile, "exclusive");
  }
  try {
    if ((await place.usedAtMs()) !== undefined) return;
    const beganAtMs = performance.now();
    log(`postern: making a Python environment for ${requirements.join(", ")}`);
    // An agent that began to make it may have left a part of it.
    await place.remove();
    const { list, directory } = place;
    await install(directory, interpreter, { list, requirements }, deps);
    await place.complete();
    const seconds = (performance.now() - beganAtMs) / 1000;
    log(`postern: the Python environment is there after ${seconds.toFixed(1)} s`);
  } catch (error) {
    await place.remove();
    throw error;
  } finally {
    alone.release();
  }
}

/** Removes what was left half made, and what was used longest ago. */
async function prune(shelf: Shelf, kept: number): Promise<void> {
  const keys = (await readdir(shelf.environments)).filter((name) => KEY.test(name));
  const places = await Promise.all(
    keys.map(async (key) => {
      const place = new Place(shelf, key);
      return { place, usedAtMs: (await place.usedAtMs()) ?? -Infinity };
    }),
  );
  const newestFirst = places.toSorted((first, second) => second.usedAtMs - first.usedAtMs);
  for (const [index, { place, usedAtMs }] of newestFirst.entries()) {
    if (index < kept && usedAtMs !== -Infinity) continue;
    const alone = tryLock(place.lockFile, "exclusive");
    if (alone === undefined) continue;
    try {
      await place.remove();
    } finally {
      alone.release();
    }
  }
}

/** Of one interpreter and one set of requirements, in whatever order, for one user. */
function keyOf(
  { identity }: Interpreter,
  requirements: readonly string[],
  user: AppUser | undefined,
): string {
  const list = [...new Set(requirements.map((line) => line.trim()))].toSorted();
  return createHash("sha256")
    .update(JSON.stringify([identity, list, user?.name]))
    .digest("hex")
    .slice(0, 32);
}
