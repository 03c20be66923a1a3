/**
 * A gateway's state directory (docs/storage.md), with the lock that keeps a second gateway out. Only its owner can read
 * it, since it contains secrets.
 */

import { randomBytes } from "node:crypto";
import { readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { lockDirectory, makePrivateDirectory, writing } from "../directory-lock.ts";
import { codeOf, CommandFailure, reasonOf } from "../failure.ts";
import type { ProcessIdentity } from "../../base/node/process-identity.ts";

const SECRET_BYTES = 32;

/** Facts about the running gateway, for other commands on this machine. */
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
  /** The record of their databases' checksums (databases/). */
  readonly checksumsPath: string;
  /** A file that holds room (disk-reserve.ts). */
  readonly reservePath: string;
  /** The one secret from which all of the gateway's keys are derived, in the form of `POSTERN_KEY`. */
  readonly key: string;
  readWorkerd(): ProcessIdentity | undefined;
  writeWorkerd(identity: ProcessIdentity): void;
  forgetWorkerd(): void;
  writeRunning(info: RunningInfo): void;
  /** Forgets the running gateway and releases the lock; called once. */
  release(): void;
}

/** Makes the directory where it is missing and locks it; throws a CommandFailure when that can't be. */
export function openStateDirectory(path: string): StateDirectory {
  const at = (...parts: string[]): string => join(path, ...parts);
  const lock = lockDirectory(path, () => {
    const holder = readRunning(path);
    return holder === undefined ? "another gateway" : `the gateway with pid ${holder.pid}`;
  });
  let released = false;
  try {
    return writing(path, () => {
      makePrivateDirectory(at("run"));
      makePrivateDirectory(at("objects"));
      return {
        path,
        runPath: at("run"),
        objectsPath: at("objects"),
        checksumsPath: at("checksums"),
        reservePath: at("reserve"),
        key: loadSecret(at("key")),
        readWorkerd: () => readIdentity(at("run", "workerd.json")),
        writeWorkerd: (identity) =>
          writePrivate(at("run", "workerd.json"), JSON.stringify(identity)),
        forgetWorkerd: () => rmSync(at("run", "workerd.json"), { force: true }),
        writeRunning: (info) => writePrivate(at("gateway.json"), JSON.stringify(info)),
        release() {
          if (released) return;
          released = true;
          rmSync(at("gateway.json"), { force: true });
          lock.release();
        },
      };
    });
  } catch (error) {
    lock.release();
    throw error;
  }
}

/** The facts that the gateway on this state directory has written, if one runs or was killed. */
export function readRunning(path: string): RunningInfo | undefined {
  const text = readIfThere(join(path, "gateway.json"));
  return text === undefined ? undefined : (parseJson(text) as RunningInfo | undefined);
}

/** Writes a file that its owner alone can read. A reader sees the old text or the new one, never a part. */
export function writePrivate(path: string, content: string): void {
  const temporary = `${path}.new`;
  writeFileSync(temporary, content, { mode: 0o600, flush: true });
  renameSync(temporary, path);
}

function loadSecret(path: string): string {
  // A second line is the key before, while a key is replaced (docs/tokens.md).
  const present = readIfThere(path)
    ?.trim()
    .split(/\s*\n\s*/)
    .join(",");
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
    throw new CommandFailure(`can't read ${path}: ${reasonOf(error)}`);
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
