/**
 * A gateway's state directory (docs/storage.md), with the lock that keeps a second gateway out. Only its owner can read
 * it, since it contains secrets.
 */

import { randomBytes } from "node:crypto";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { lockDirectory, makePrivateDirectory, writing } from "../directory-lock.ts";
import { keepChecked, readChecked, writeChecked } from "../checked-file.ts";
import { readIfThere, writePrivate } from "../private-file.ts";
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

/**
 * Makes the directory where it is missing and locks it; throws a CommandFailure when that can't be.
 * @param notice tells the operator what has become of the key
 */
export function openStateDirectory(
  path: string,
  notice: (line: string) => void = () => undefined,
): StateDirectory {
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
        key: loadKey(at("key"), notice),
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
  const text = readIfThere(join(path, "gateway.json"))?.toString();
  return text === undefined ? undefined : (parseJson(text) as RunningInfo | undefined);
}

/** Reads the key, or makes one. */
function loadKey(path: string, notice: (line: string) => void): string {
  const present = readChecked(path);
  if (present?.state === "changed") {
    notice(
      `${path} has changed since the last start: what was made under a key that is not there any more is void`,
    );
  }
  const isThere = present !== undefined && present.text.trim() !== "";
  const text = isThere ? present.text : `${randomBytes(SECRET_BYTES).toString("base64url")}\n`;
  if (!isThere) writeChecked(path, text);
  else keepChecked(path, present, notice);
  // A second line is the key before, while a key is replaced (docs/tokens.md).
  return text
    .trim()
    .split(/\s*\n\s*/)
    .join(",");
}

function readIdentity(path: string): ProcessIdentity | undefined {
  const text = readIfThere(path)?.toString();
  const value = text === undefined ? undefined : parseJson(text);
  if (typeof value !== "object" || value === null || !("pid" in value) || !("started" in value)) {
    return undefined;
  }
  const { pid, started } = value;
  return typeof pid === "number" && typeof started === "string" ? { pid, started } : undefined;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
