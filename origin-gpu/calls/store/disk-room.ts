/** Looks whether the disk has room for a response before anybody is promised one. */
import type { Observer } from "../../../base/observer.ts";
import { MIB } from "../../../base/units.ts";
import type { Files } from "./files.ts";

/** With less room than that no response is promised. */
const LEAST_BYTES = MIB;

export class DiskRoom {
  readonly #files: Files;
  readonly #directory: string;
  readonly #observer: Observer;
  #looking: Promise<boolean> | undefined;

  constructor(files: Files, directory: string, observer: Observer) {
    this.#files = files;
    this.#directory = directory;
    this.#observer = observer;
  }

  /** Whether the directory has room now. Never rejects. All who ask during one look share it. */
  isThere(): Promise<boolean> {
    this.#looking ??= this.#look().then(
      () => this.#looked(true),
      (error: unknown) => {
        this.#observer.notice(`postern: clients wait beyond the request timeout: ${String(error)}`);
        return this.#looked(false);
      },
    );
    return this.#looking;
  }

  #looked(isThere: boolean): boolean {
    this.#looking = undefined;
    return isThere;
  }

  /** @throws where no more files can be opened, or the file system has too little left */
  async #look(): Promise<void> {
    const handle = await this.#files.open(this.#directory, "r");
    await handle.close();
    const { bavail, blocks, bsize } = await this.#files.statfs(this.#directory);
    // A file system of no size does not say what it has.
    if (blocks === 0 || bavail * bsize >= LEAST_BYTES) return;
    throw new Error(
      `the file system of ${this.#directory} has less than ${LEAST_BYTES} bytes left`,
    );
  }
}
