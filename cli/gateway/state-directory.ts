/**
 * The state directory (docs/storage.md): what one gateway keeps on this machine, and the lock that makes
 * it the only one there. Everything is readable by its owner alone, since secrets are among it.
 */

import { randomBytes } from "node:crypto";
import { mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { codeOf, Failure, reasonOf } from "../failure.ts";
import type { ProcessIdentity } from "./process-identity.ts";

/** How long a start waits for the lock: a gateway that was just killed lets go of it within this time. */
const LOCK_WAIT_MS = 1_000;

const SQLITE_BUSY = 5;

const SECRET_BYTES = 32;

/** What other commands on this machine read about the running gateway. */
export interface RunningInfo {
  /** The base domain as clients reach it, e.g. `http://localhost:8787`. */
  readonly url: string;
  readonly baseDomain: string;
  /** workerd's own port on 127.0.0.1, past the front, for agents on this machine. */
  readonly workerdPort: number;
  readonly pid: number;
}

export interface StateDirectory {
  readonly path: string;
  /** The files from which workerd runs. */
  readonly runPath: string;
  /** The Durable Objects' storage. */
  readonly objectsPath: string;
  /** Boxes enrol with it. */
  readonly boxSecret: string;
  /** The one secret that the gateway's keys are derived from, as `POSTERN_KEY`. */
  readonly key: string;
  readWorkerd(): ProcessIdentity | undefined;
  writeWorkerd(identity: ProcessIdentity): void;
  forgetWorkerd(): void;
  writeRunning(info: RunningInfo): void;
  /** Forgets the running gateway and lets go of the lock; once. */
  release(): void;
}

/** Held until they are let go of: a lock that nobody refers to would be closed by the garbage collector. */
const held = new Set<DatabaseSync>();

/** Makes the directory where it is missing and locks it; throws a Failure when that can't be. */
export function openStateDirectory(path: string): StateDirectory {
  const at = (...parts: string[]): string => join(path, ...parts);
  const lock = orFail(path, () => {
    makePrivateDirectory(path);
    return new DatabaseSync(at("lock"), { timeout: LOCK_WAIT_MS });
  });
  try {
    takeLock(lock, path);
    held.add(lock);
    return orFail(path, () => {
      makePrivateDirectory(at("run"));
      makePrivateDirectory(at("objects"));
      return {
        path,
        runPath: at("run"),
        objectsPath: at("objects"),
        boxSecret: loadSecret(at("box-secret")),
        key: loadSecret(at("key")),
        readWorkerd: () => readIdentity(at("run", "workerd.json")),
        writeWorkerd: (identity) =>
          writePrivate(at("run", "workerd.json"), JSON.stringify(identity)),
        forgetWorkerd: () => rmSync(at("run", "workerd.json"), { force: true }),
        writeRunning: (info) => writePrivate(at("gateway.json"), JSON.stringify(info)),
        release() {
          if (!lock.isOpen) return;
          rmSync(at("gateway.json"), { force: true });
          lock.close();
          held.delete(lock);
        },
      };
    });
  } catch (error) {
    lock.close();
    throw error;
  }
}

/** The enrolment secret of a state directory on this machine, or undefined when there is none. */
export function readBoxSecret(path: string): string | undefined {
  return readIfThere(join(path, "box-secret"))?.trim();
}

/** What the gateway on this state directory said of itself, if one runs or was killed. */
export function readRunning(path: string): RunningInfo | undefined {
  const text = readIfThere(join(path, "gateway.json"));
  return text === undefined ? undefined : (parseJson(text) as RunningInfo | undefined);
}

/** Writes a file that its owner alone may read; whoever reads it sees the old or the new, never a part. */
export function writePrivate(path: string, content: string): void {
  const temporary = `${path}.new`;
  writeFileSync(temporary, content, { mode: 0o600, flush: true });
  renameSync(temporary, path);
}

/**
 * Makes a directory and those above it. Node's own `recursive` never returns where a parent exists and
 * takes no entries, as /proc does (Node 24).
 */
function makePrivateDirectory(path: string): void {
  const present = statSync(path, { throwIfNoEntry: false });
  if (present?.isDirectory() === true) return;
  if (present !== undefined) throw new Failure(`${path} is not a directory`);
  if (dirname(path) !== path) makePrivateDirectory(dirname(path));
  try {
    mkdirSync(path, { mode: 0o700 });
  } catch (error) {
    // Another start may have made it in between; whose it is, the lock decides.
    if (codeOf(error) !== "EEXIST") throw error;
  }
}

/**
 * SQLite's exclusive lock is the kernel's: it ends with its holder, even one that was killed, and two
 * that start at once can't both have it. Nothing is ever written into the file.
 */
function takeLock(lock: DatabaseSync, path: string): void {
  try {
    lock.exec("PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE");
  } catch (error) {
    if (!(error instanceof Error) || !("errcode" in error) || error.errcode !== SQLITE_BUSY) {
      throw cannotWrite(path, error);
    }
    const holder = readRunning(path);
    const who = holder === undefined ? "another gateway" : `the gateway with pid ${holder.pid}`;
    throw new Failure(`${path} is in use by ${who}; stop it, or choose another with --state`);
  }
}

function loadSecret(path: string): string {
  const present = readIfThere(path)?.trim();
  if (present !== undefined && present !== "") return present;
  const secret = randomBytes(SECRET_BYTES).toString("base64url");
  writePrivate(path, `${secret}\n`);
  return secret;
}

function readIdentity(path: string): ProcessIdentity | undefined {
  const text = readIfThere(path);
  const value = text === undefined ? undefined : parseJson(text);
  if (typeof value !== "object" || value === null || !("pid" in value) || !("started" in value)) {
    return undefined;
  }
  const { pid, started } = value;
  return typeof pid === "number" && typeof started === "string" ? { pid, started } : undefined;
}

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if (codeOf(error) === "ENOENT" || codeOf(error) === "ENOTDIR") return undefined;
    throw new Failure(`can't read ${path}: ${reasonOf(error)}`);
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

function orFail<T>(path: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw error instanceof Failure ? error : cannotWrite(path, error);
  }
}

function cannotWrite(path: string, error: unknown): Failure {
  return new Failure(
    `can't write the state directory ${path}: ${reasonOf(error)}; choose another with --state`,
  );
}
