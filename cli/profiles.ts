/**
 * Profiles: gateways and the tokens that open them, as tables of one TOML file. People have theirs in
 * `~/.postern.toml` (`POSTERN_CONFIG_PATH`); a gateway on this machine keeps its own in the state
 * directory. Both hold secrets, so their owner alone may read them.
 */

import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { parse, stringify, type TomlTable } from "smol-toml";
import { z } from "zod";
import { readChecked } from "./checked-file.ts";
import { codeOf, CommandFailure, reasonOf } from "./failure.ts";
import { writePrivate } from "./private-file.ts";

type Environment = Readonly<Record<string, string | undefined>>;

const PROFILE = z.looseObject({
  /** At most one profile is; the last one that was activated. */
  active: z.boolean().optional(),
  url: z.string().optional(),
  token_id: z.string().optional(),
  token_secret: z.string().optional(),
  environment: z.string().optional(),
});

export type Profile = z.output<typeof PROFILE>;

/** The name of a profile whose user gave none. */
const DEFAULT_PROFILE = "default";

export class Profiles {
  readonly path: string;
  readonly #tables: Map<string, Profile>;

  private constructor(path: string, tables: Map<string, Profile>) {
    this.path = path;
    this.#tables = tables;
  }

  /** Reads a file of profiles; one that is missing has none. @throws CommandFailure that names what is wrong */
  static read(path: string): Profiles {
    let text: string;
    try {
      text = readFileSync(path, "utf8");
    } catch (error) {
      if (codeOf(error) === "ENOENT" || codeOf(error) === "ENOTDIR") {
        return new Profiles(path, new Map());
      }
      throw new CommandFailure(`can't read ${path}: ${reasonOf(error)}`);
    }
    return new Profiles(path, new Map(Object.entries(tablesOf(path, text))));
  }

  /** The profile that a gateway keeps in its state directory, without one flipped bit. */
  static ofGateway(state: string): Profiles {
    const path = ownProfilePath(state);
    const text = readChecked(path)?.text ?? "";
    return new Profiles(path, new Map(Object.entries(tablesOf(path, text))));
  }

  /** A file without profiles, whatever is there now. */
  static empty(path: string): Profiles {
    return new Profiles(path, new Map());
  }

  /** The person's own profiles. */
  static ofUser(environment: Environment): Profiles {
    return Profiles.read(environment["POSTERN_CONFIG_PATH"] || join(homedir(), ".postern.toml"));
  }

  get names(): string[] {
    return [...this.#tables.keys()];
  }

  get(name: string): Profile | undefined {
    return this.#tables.get(name);
  }

  /** `POSTERN_PROFILE`, else the one that is active, else the only one or `default`, where there is one. */
  activeName(environment: Environment): string | undefined {
    const chosen = environment["POSTERN_PROFILE"];
    if (chosen) {
      if (this.#tables.has(chosen)) return chosen;
      throw new CommandFailure(
        `POSTERN_PROFILE: ${this.path} has no profile "${chosen}"${this.#known()}`,
      );
    }
    const active = this.names.find((name) => this.#tables.get(name)?.active === true);
    if (active !== undefined) return active;
    if (this.#tables.size === 1) return this.names[0];
    return this.#tables.has(DEFAULT_PROFILE) ? DEFAULT_PROFILE : undefined;
  }

  /** Adds to a profile, which is made where it is missing. */
  update(name: string, more: Partial<Profile>): void {
    this.#tables.set(name, { ...this.#tables.get(name), ...more });
  }

  /** Makes one profile the active one. @throws CommandFailure when it is not there */
  activate(name: string): void {
    if (!this.#tables.has(name)) {
      throw new CommandFailure(`${this.path} has no profile "${name}"${this.#known()}`);
    }
    for (const [other, { active: _, ...profile }] of this.#tables) {
      this.#tables.set(other, other === name ? { active: true, ...profile } : profile);
    }
  }

  write(save = writePrivate): void {
    try {
      save(this.path, stringify(Object.fromEntries(this.#tables) as TomlTable));
    } catch (error) {
      throw new CommandFailure(`can't write ${this.path}: ${reasonOf(error)}`);
    }
  }

  #known(): string {
    return this.#tables.size === 0 ? "" : `; it has ${this.names.join(", ")}`;
  }
}

/** The profile that a gateway keeps of its own workspace. */
export function ownProfilePath(state: string): string {
  return join(state, "profile.toml");
}

function tablesOf(path: string, text: string): Record<string, Profile> {
  let value: unknown;
  try {
    value = parse(text);
  } catch (error) {
    // The parser's message goes on with an excerpt, and an excerpt may show a secret.
    throw new CommandFailure(`${path}: ${reasonOf(error).split("\n")[0]}`);
  }
  const result = z.record(z.string(), PROFILE).safeParse(value);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  throw new CommandFailure(`${path}: ${issue?.path.join(".")}: ${issue?.message}`);
}
