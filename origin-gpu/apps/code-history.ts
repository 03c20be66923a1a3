/**
 * Which code each app has run on this box, newest first, in a file: the gateway keeps no code, so that a
 * rollback finds what it needs on a box, also after the box was started anew.
 */
import { rename, readFile, writeFile } from "node:fs/promises";
import * as z from "zod";
import { messageOf } from "../../base/thrown.ts";
import { checkedLine, mendCheckedLine, readCheckedLine } from "../calls/store/checked-line.ts";
import { isMissing, PRIVATE_FILE_MODE } from "../calls/store/files.ts";

/** Of each app, the one that runs included. */
const KEPT_SNAPSHOTS = 5;

const HISTORY = z.record(z.string(), z.array(z.string()));

export class CodeHistory {
  readonly #file: string;
  readonly #notice: (line: string) => void;
  readonly #hashes: Map<string, readonly string[]>;
  /** The hashes that are in the file, as text. */
  #written: string | undefined;

  private constructor(
    file: string,
    hashes: Map<string, readonly string[]>,
    notice: (line: string) => void,
  ) {
    this.#file = file;
    this.#hashes = hashes;
    this.#notice = notice;
  }

  /** A file that can't be read is an empty one: other boxes may have the code, and so has who deployed it. */
  static async open(file: string, notice: (line: string) => void): Promise<CodeHistory> {
    let content: Buffer | undefined;
    try {
      content = await readFile(file);
    } catch (error) {
      if (!isMissing(error)) notice(`postern: ${messageOf(error)}: ${LOSS}`);
    }
    const { apps, state } = content === undefined ? NOTHING : decode(content);
    const history = new CodeHistory(file, new Map(Object.entries(apps)), notice);
    if (state === "whole") history.#written = history.#text;
    if (state === "mended") notice(`postern: ${file}: mended a flipped bit`);
    if (state === "damaged") notice(`postern: ${file} is damaged: ${LOSS}`);
    return history;
  }

  /** Hashes of all apps. */
  get hashes(): string[] {
    return [...this.#hashes.values()].flat();
  }

  /**
   * Notes what the apps run now, by app id; forgets the apps that are not among them. A disk that takes no write
   * keeps no app from running: it is said, and the next call tries again.
   */
  async note(now: ReadonlyMap<string, readonly string[]>): Promise<void> {
    for (const app of this.#hashes.keys()) {
      if (!now.has(app)) this.#hashes.delete(app);
    }
    for (const [app, hashes] of now) {
      const all = new Set([...hashes, ...(this.#hashes.get(app) ?? [])]);
      this.#hashes.set(app, [...all].slice(0, Math.max(KEPT_SNAPSHOTS, hashes.length)));
    }
    if (this.#text === this.#written) return;
    try {
      await this.#write(this.#text);
    } catch (error) {
      this.#notice(`postern: which code this box has run is not recorded: ${messageOf(error)}`);
    }
  }

  get #text(): string {
    return JSON.stringify(Object.fromEntries(this.#hashes));
  }

  async #write(text: string): Promise<void> {
    const draft = `${this.#file}.new`;
    await writeFile(draft, checkedLine(text), { mode: PRIVATE_FILE_MODE, flush: true });
    await rename(draft, this.#file);
    this.#written = text;
  }
}

const LOSS =
  "code of earlier versions is removed from this box; deploy such a version again where a rollback lacks it";

interface Decoded {
  readonly apps: Record<string, string[]>;
  readonly state: "whole" | "unchecked" | "mended" | "damaged";
}

const NOTHING: Decoded = { apps: {}, state: "whole" };

function decode(content: Buffer): Decoded {
  const line = content.subarray(0, -1);
  // The first agents wrote no checksum.
  const readings = [
    ["whole", readCheckedLine(line)],
    ["unchecked", content.toString("latin1", 0, 1) === "{" ? content : undefined],
    ["mended", mendCheckedLine(line)],
  ] as const;
  for (const [state, json] of readings) {
    const apps = json === undefined ? undefined : parse(json);
    if (apps !== undefined) return { apps, state };
  }
  return { apps: {}, state: "damaged" };
}

function parse(json: Buffer): Decoded["apps"] | undefined {
  try {
    return HISTORY.parse(JSON.parse(json.toString()));
  } catch {
    return undefined;
  }
}
