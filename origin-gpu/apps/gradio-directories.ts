/**
 * Where Gradio's containers of this box keep uploaded and made files: one directory for each endpoint with the preset
 * `gradio`, so that a file that one container took is at all of them. It goes when its app leaves the box.
 */
import { spawn } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { chmodSync, chownSync, constants, existsSync, lstatSync, mkdirSync } from "node:fs";
import { lstat, open, readdir } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { MAX_SHARED_FILE_BYTES, type SharedFile } from "../../routing/wire/shared-files.ts";
import { type AppUser, commandAs, removeTree } from "../app-user.ts";
import type { EndpointConfig } from "../config/app-config.ts";
import type { DeliveredBytes } from "../link/bytes-delivery.ts";

/** Of the folder that has them all. */
const NAME = "gradio";

/** The variable by which Gradio is told. */
const VARIABLE = "GRADIO_TEMP_DIR";

/** On a disk, where /tmp is memory on some systems. */
const TEMPORARY = "/var/tmp";

/** `file=` and the name of a folder, which is a SHA-1 or a SHA-256 (routing/affinity/values.ts). */
const FILE_KEY = /^file=([0-9a-f]{40}|[0-9a-f]{64})$/;

/** The directory of one endpoint. */
export class GradioDirectory {
  readonly path: string;
  readonly #mark: string;
  readonly #user: AppUser | undefined;

  /** @param mark the end of its path */
  constructor(root: string, mark: string, user: AppUser | undefined) {
    this.path = join(root, mark);
    this.#mark = mark;
    this.#user = user;
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

  /** The end of its path, which is the same on every box. */
  get mark(): string {
    return `${this.#mark}/`;
  }

  pathOf({ folder, name }: SharedFile): string {
    return join(this.path, folder, name);
  }

  async has(file: SharedFile): Promise<boolean> {
    const stats = await lstat(this.pathOf(file)).catch(() => undefined);
    return stats?.isFile() === true;
  }

  /** Opens a file that its app could read itself; undefined where there is none. */
  async open(file: SharedFile): Promise<DeliveredBytes | undefined> {
    const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = constants;
    const flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK;
    const handle = await open(this.pathOf(file), flags).catch(() => undefined);
    if (handle === undefined) return undefined;
    const stats = await handle.stat();
    const isOwn = stats.uid === (this.#user?.uid ?? process.getuid?.());
    if (stats.isFile() && isOwn && stats.size <= MAX_SHARED_FILE_BYTES) {
      // One that grows meanwhile ends where it did.
      const content = handle.createReadStream({ end: Math.max(0, stats.size - 1) });
      if (stats.size > 0) return { bytes: stats.size, content };
      content.destroy();
      return { bytes: 0, content: Readable.from([]) };
    }
    await handle.close();
    return undefined;
  }

  /**
   * Puts a file here, whole or not at all. By a process of the user: the directory is the user's to put links in.
   * @throws where it has not so many bytes, or there is no room for it
   */
  async take(file: SharedFile, content: AsyncIterable<Uint8Array>, bytes: number): Promise<void> {
    const arriving = `.postern-${randomBytes(8).toString("hex")}`;
    const folder = join(this.path, file.folder);
    const words = [folder, arriving, file.name, String(bytes)];
    const [command = "", ...args] = commandAs(this.#user, ["/bin/sh", "-c", TAKE, ...words]);
    const child = spawn(command, args, { cwd: "/", stdio: ["pipe", "ignore", "ignore"] });
    const exited = once(child, "exit");
    exited.catch(() => undefined);
    // A file that is cut off has too few bytes.
    await pipeline(content, child.stdin).catch(() => child.stdin.destroy());
    const [code] = (await exited) as [number | null];
    if (code !== 0) throw new Error("it did not come whole, or there is no room for it");
  }
}

/** $0: the folder, $1: the name on the way, $2: the name, $3: bytes. */
const TAKE = `umask 077; mkdir -p -- "$0" && cat > "$0/$1" && [ "$(wc -c < "$0/$1")" -eq "$3" ] &&
  mv -f -- "$0/$1" "$0/$2" || { rm -f -- "$0/$1"; exit 1; }`;

export class GradioDirectories {
  readonly #place: string;
  readonly #user: AppUser | undefined;

  /** @param stateDirectory the agent's, which the user of its apps can't enter */
  constructor(stateDirectory: string, user: AppUser | undefined) {
    this.#place = user?.directory ?? stateDirectory;
    this.#user = user;
  }

  /** Looked for each time: a folder for temporary files may be swept while an agent runs. */
  get #root(): string {
    return withoutDots(this.#place);
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
    const mark = `/${NAME}/${nameOf(app)}/${nameOf(settings.function)}`;
    const root = this.#root;
    make(join(root, NAME), 0o711);
    make(join(root, NAME, nameOf(app)), 0o711);
    make(join(root, mark), 0o700, this.#user);
    return new GradioDirectory(root, mark, this.#user);
  }

  /** Removes all of an app, which has left the box. */
  async remove(app: string): Promise<void> {
    const directory = join(this.#root, NAME, nameOf(app));
    const names = await readdir(directory).catch(() => []);
    await Promise.all(
      names.map(async (name) => await removeTree(join(directory, name), this.#user)),
    );
    await removeTree(directory);
  }
}

/**
 * A folder of the agent's own where no part of the path begins with a dot, as `.postern` does: Gradio 3.50 serves no file
 * below such a part. The same folder each time; the given one where there can't be another.
 */
function withoutDots(directory: string): string {
  if (!directory.includes("/.")) return directory;
  const uid = process.getuid?.();
  const own = join(process.env["TMPDIR"] ?? TEMPORARY, `postern-${uid}-${nameOf(directory)}`);
  if (own.includes("/.")) return directory;
  try {
    mkdirSync(own, { recursive: true, mode: 0o711 });
    const stats = lstatSync(own);
    // Anybody may have put something there before.
    const isOwn = stats.isDirectory() && stats.uid === uid && (stats.mode & 0o022) === 0;
    return isOwn ? own : directory;
  } catch {
    return directory;
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
