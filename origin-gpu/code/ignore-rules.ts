/**
 * Which files of a directory are no part of its code: the rules of .gitignore files, and on top of them
 * those of .posternignore files, which may also take back in what git ignores. Settings of one machine
 * (.git/info/exclude, git's global file) don't count: the same files make the same code everywhere.
 */
import ignore, { type Ignore } from "ignore";

/** Paths that are made again wherever the code runs. An ignore file can take them back in: its rules are higher. */
const DEFAULT_RULES = ["__pycache__/"];

/** Git's and Postern's own folders, at any depth. No ignore file can take them back in. */
const NEVER: ReadonlySet<string> = new Set([".git", ".postern", ".postern-apps"]);

/** The text of the ignore files in one directory. */
export interface IgnoreFiles {
  readonly gitignore?: string | undefined;
  readonly posternignore?: string | undefined;
}

export class IgnoreRules {
  readonly #git: readonly string[];
  readonly #postern: readonly string[];
  readonly #rules: Ignore;

  private constructor(git: readonly string[], postern: readonly string[]) {
    this.#git = git;
    this.#postern = postern;
    // Case counts on every machine, also on those whose file system does not care.
    this.#rules = ignore({ ignorecase: false }).add([...DEFAULT_RULES, ...git, ...postern]);
  }

  static readonly NONE = new IgnoreRules([], []);

  /**
   * These rules and those that begin in a directory; deeper ones win.
   * @param directory path from the top with slashes, empty for the top itself
   */
  with(directory: string, { gitignore, posternignore }: IgnoreFiles): IgnoreRules {
    if (gitignore === undefined && posternignore === undefined) return this;
    return new IgnoreRules(
      [...this.#git, ...rulesFrom(directory, gitignore)],
      [...this.#postern, ...rulesFrom(directory, posternignore)],
    );
  }

  /** @param path from the top, with slashes; a directory's ends in one */
  ignores(path: string): boolean {
    const name = path.replace(/\/$/, "").split("/").at(-1) as string;
    return NEVER.has(name) || this.#rules.ignores(path);
  }
}

/** An ignore file's lines as they would stand in one at the top. */
function rulesFrom(directory: string, text = ""): string[] {
  const lines = text.replace(/^\uFEFF/, "").split(/\r?\n/);
  return directory === "" ? lines : lines.flatMap((line) => rebased(directory, line));
}

/** gitignore(5): a slash before the end ties a pattern to its file's directory, else it holds at any depth. */
function rebased(directory: string, line: string): string[] {
  if (line.trim() === "" || line.startsWith("#")) return [];
  const negative = line.startsWith("!");
  const pattern = negative ? line.slice(1) : line;
  const tied = /\/(?=.*\S)/.test(pattern.replace(/\/\s*$/, ""));
  const below = tied ? pattern.replace(/^\//, "") : `**/${pattern}`;
  const parent = directory.replaceAll(/[\\*?[\]!# ]/g, "\\$&");
  return [`${negative ? "!" : ""}/${parent}/${below}`];
}
