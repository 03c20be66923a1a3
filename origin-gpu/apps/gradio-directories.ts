/**
 * Where Gradio's containers of this box keep uploaded and made files: one directory for each endpoint with the preset
 * `gradio`, so that a file that one container took is at all of them. It goes when its app leaves the box.
 */
import { createHash } from "node:crypto";
import { chmodSync, chownSync, existsSync, mkdirSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { type AppUser, removeTree } from "../app-user.ts";
import type { EndpointConfig } from "../config/app-config.ts";

/** The variable by which Gradio is told. */
const VARIABLE = "GRADIO_TEMP_DIR";

/** `file=` and the name of a folder, which is a SHA-1 or a SHA-256 (routing/affinity/values.ts). */
const FILE_KEY = /^file=([0-9a-f]{40}|[0-9a-f]{64})$/;

/** The directory of one endpoint. */
export class GradioDirectory {
  readonly path: string;

  constructor(path: string) {
    this.path = path;
  }

  get variables(): Record<string, string> {
    return { [VARIABLE]: this.path };
  }

  /** Whether one of these session keys names files that lie here. */
  hasOne(keys: readonly string[]): boolean {
    return keys.some((key) => {
      const folder = FILE_KEY.exec(key)?.[1];
      return folder !== undefined && existsSync(join(this.path, folder));
    });
  }
}

export class GradioDirectories {
  readonly #directory: string;
  readonly #user: AppUser | undefined;

  /** @param stateDirectory the agent's, which the user of its apps can't enter */
  constructor(stateDirectory: string, user: AppUser | undefined) {
    this.#directory = join(user?.directory ?? stateDirectory, "gradio");
    this.#user = user;
  }

  /**
   * Makes the directory of a function's containers.
   * @param app `<environment>/<app>`
   * @returns undefined where they are not Gradio's, or their user has a directory for them
   */
  open(app: string, settings: EndpointConfig): GradioDirectory | undefined {
    const isGradio = settings.affinity?.rules.includes("gradio") === true;
    const isGiven = VARIABLE in settings.env || VARIABLE in process.env;
    if (!isGradio || isGiven || settings.kind.type === "upstream") return undefined;
    const path = join(this.#ofApp(app), nameOf(settings.function));
    make(this.#directory, 0o711);
    make(this.#ofApp(app), 0o711);
    make(path, 0o700, this.#user);
    return new GradioDirectory(path);
  }

  /** Removes all of an app, which has left the box. */
  async remove(app: string): Promise<void> {
    const directory = this.#ofApp(app);
    const names = await readdir(directory).catch(() => []);
    await Promise.all(
      names.map(async (name) => await removeTree(join(directory, name), this.#user)),
    );
    await removeTree(directory);
  }

  #ofApp(app: string): string {
    return join(this.#directory, nameOf(app));
  }
}

/** Names of users may be anything; a folder's is the same on every box. */
function nameOf(text: string): string {
  return createHash("sha256").update(text).digest("hex").slice(0, 16);
}

/** By chmod, since the mode of mkdir depends on the umask. Its parent is the agent's alone to write to. */
function make(path: string, mode: number, owner?: AppUser): void {
  mkdirSync(path, { recursive: true });
  if (owner !== undefined) chownSync(path, owner.uid, owner.gid);
  chmodSync(path, mode);
}
