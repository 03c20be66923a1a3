/**
 * Lists the files and links of a directory that are its code, in one order on every machine. It reads the contents of
 * ignore files and of no other file. Entries that can't be part of the code are skipped with a notice, or refused
 * with a line.
 */
import type { BigIntStats } from "node:fs";
import { lstat, readdir, readFile, readlink } from "node:fs/promises";
import { dirname, join, relative, sep } from "node:path";
import { CodeRefused } from "./code-refused.ts";
import { type IgnoreFiles, IgnoreRules } from "./ignore-rules.ts";
import { linkTarget } from "./paths.ts";

/**
 * Why a directory is none of the code, by the files in it; undefined where it may be code. Its name and the ignore
 * files do not count.
 * @param has whether a file of this name is in it
 */
export function whyNotCode(has: (name: string) => boolean): string | undefined {
  if (has("pyvenv.cfg")) return "a Python environment, which works on this machine alone";
  // --state may name any folder; `.postern` is left out by its name.
  const isState = has("lock") && (has("profile.toml") || has("identity.json"));
  if (isState) return "the state of a gateway or an agent, with its keys";
  const isPlaceOfApps = has("copies") && has("environments") && has("no-code");
  return isPlaceOfApps ? "what the apps of a box run from" : undefined;
}

export type WalkedEntry = WalkedFile | WalkedLink;

export interface WalkedFile {
  readonly kind: "file";
  /** From the directory, with slashes. */
  readonly path: string;
  readonly bytes: number;
  readonly executable: boolean;
  /** Another one when the file was written to or replaced. */
  readonly stamp: string;
}

export interface WalkedLink {
  readonly kind: "link";
  readonly path: string;
  readonly target: string;
}

export interface Walked {
  /** By path, in the order of JavaScript's `<`. */
  readonly entries: readonly WalkedEntry[];
  /** One line for each entry that was left out although no ignore file names it. */
  readonly skipped: readonly string[];
}

/** An entry changed while the directory was read. The caller reads the directory again. */
export class DirectoryChanged extends Error {
  readonly path: string;

  constructor(path: string) {
    super(`${path} changed`);
    this.path = path;
  }
}

/** @throws CodeRefused @throws DirectoryChanged */
export async function walk(directory: string, maxFiles: number): Promise<Walked> {
  const { rules, base } = await rulesAbove(directory);
  const walker = new Walker(directory, base, maxFiles);
  await walker.visit("", rules);
  walker.entries.sort((first, second) => (first.path < second.path ? -1 : 1));
  return walker;
}

class Walker implements Walked {
  readonly entries: WalkedEntry[] = [];
  readonly skipped: string[] = [];
  readonly #directory: string;
  readonly #maxFiles: number;
  /** From where the rules begin to the directory, empty or with a slash at the end. */
  readonly #base: string;

  constructor(directory: string, base: string, maxFiles: number) {
    this.#maxFiles = maxFiles;
    this.#directory = directory;
    this.#base = base;
  }

  /** @param path of a directory within, empty or with a slash at the end */
  async visit(path: string, above: IgnoreRules): Promise<void> {
    const names = await this.#names(path);
    const rules = above.with(
      (this.#base + path).replace(/\/$/, ""),
      await ignoreFiles(join(this.#directory, path)),
    );
    for (const name of names) {
      const entry = path + name;
      const stats = await this.#stats(entry);
      if (rules.ignores(this.#base + entry + (stats.isDirectory() ? "/" : ""))) continue;
      checkName(entry);
      if (stats.isDirectory()) await this.#enter(`${entry}/`, rules);
      else await this.#add(entry, stats);
    }
  }

  async #enter(path: string, rules: IgnoreRules): Promise<void> {
    const names = new Set(await this.#names(path));
    const why = whyNotCode((name) => names.has(name));
    if (why === undefined) await this.visit(path, rules);
    else this.skipped.push(`${path}: ${why}`);
  }

  async #add(path: string, stats: BigIntStats): Promise<void> {
    if (stats.isSymbolicLink()) {
      const target = await readlink(join(this.#directory, path)).catch(changed(path));
      const kept = linkTarget(path, target);
      if (kept === undefined) {
        throw new CodeRefused(
          "bad_request",
          `${path} is a link to ${target}, which is not within the directory for every machine; make it a relative link to a file within, or leave it out with .posternignore`,
        );
      }
      this.entries.push({ kind: "link", path, target: kept });
    } else if (stats.isFile()) {
      this.entries.push({
        kind: "file",
        path,
        bytes: Number(stats.size),
        executable: (stats.mode & 0o100n) !== 0n,
        stamp: `${stats.ino} ${stats.size} ${stats.mtimeNs} ${stats.mode}`,
      });
    } else this.skipped.push(`${path}: neither a file nor a link`);
    if (this.entries.length > this.#maxFiles) throw tooMany(this.entries, this.#maxFiles);
  }

  async #names(path: string): Promise<string[]> {
    return await readdir(join(this.#directory, path)).catch((error: unknown) => {
      throw path === "" ? unreadable(this.#directory, error) : goneOrUnreadable(path, error);
    });
  }

  async #stats(path: string): Promise<BigIntStats> {
    return await lstat(join(this.#directory, path), { bigint: true }).catch(changed(path));
  }
}

/** The .gitignore files above the directory, as far as its repository reaches. */
export async function rulesAbove(directory: string): Promise<{ rules: IgnoreRules; base: string }> {
  const parents: string[] = [];
  for (let at = directory; !(await isRepository(at)); at = dirname(at)) {
    if (dirname(at) === at) return { rules: IgnoreRules.NONE, base: "" };
    parents.unshift(dirname(at));
  }
  const [top] = parents;
  if (top === undefined) return { rules: IgnoreRules.NONE, base: "" };
  let rules = IgnoreRules.NONE;
  for (const parent of parents) {
    const { gitignore } = await ignoreFiles(parent);
    rules = rules.with(relative(top, parent).replaceAll(sep, "/"), { gitignore });
  }
  const base = `${relative(top, directory).replaceAll(sep, "/")}/`;
  // A user who names an ignored directory means its files: then the rules above it do not apply.
  return rules.ignores(base) ? { rules: IgnoreRules.NONE, base: "" } : { rules, base };
}

async function isRepository(directory: string): Promise<boolean> {
  return await lstat(join(directory, ".git")).then(
    () => true,
    () => false,
  );
}

async function ignoreFiles(directory: string): Promise<IgnoreFiles> {
  const text = async (name: string): Promise<string | undefined> => {
    const path = join(directory, name);
    try {
      return await readFile(path, "utf8");
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === "ENOENT" || code === "EISDIR") return undefined;
      throw unreadable(path, error);
    }
  };
  return { gitignore: await text(".gitignore"), posternignore: await text(".posternignore") };
}

function checkName(path: string): void {
  // U+FFFD is what Node puts for bytes that are not UTF-8.
  if (!/[\n\uFFFD]/.test(path)) return;
  throw new CodeRefused(
    "bad_request",
    `${JSON.stringify(path)}: a file's name must be UTF-8 and one line; rename it`,
  );
}

function tooMany(entries: readonly WalkedEntry[], maxFiles: number): CodeRefused {
  const counts = new Map<string, number>();
  for (const { path } of entries) {
    const folder = dirname(path) === "." ? "." : `${path.split("/")[0] as string}/`;
    counts.set(folder, (counts.get(folder) ?? 0) + 1);
  }
  const [[folder, count]] = [...counts].toSorted((a, b) => b[1] - a[1]) as [[string, number]];
  return new CodeRefused(
    "body_too_large",
    `the directory has more than ${maxFiles} files, ${count} of them in ${folder}; leave out what the app does not need with .posternignore`,
  );
}

function changed(path: string): (error: unknown) => never {
  return (error) => {
    throw goneOrUnreadable(path, error);
  };
}

export function goneOrUnreadable(path: string, error: unknown): Error {
  const { code } = error as NodeJS.ErrnoException;
  if (code === "ENOENT" || code === "ENOTDIR" || code === "EINVAL") {
    return new DirectoryChanged(path);
  }
  return unreadable(path, error);
}

function unreadable(path: string, error: unknown): Error {
  const { code, message } = error as NodeJS.ErrnoException;
  const denied = code === "EACCES" || code === "EPERM";
  return new CodeRefused(
    "bad_request",
    denied
      ? `can't read ${path}: permission denied; make it readable, or leave it out with .posternignore`
      : `can't read ${path}: ${message}`,
  );
}
