/**
 * Writes and reads a code snapshot as a tar archive (docs/deployments.md). The same files make the same bytes on
 * each machine: headers are POSIX, entries are sorted by path, and times, owners and directories are left out.
 * The reader accepts only such archives. It refuses devices, hard links and paths that lead out.
 */
import { Header, Pax } from "tar";
import { CodeRefused } from "./code-refused.ts";
import { isInsidePath, linkTarget } from "./paths.ts";

/** A directory with more files is refused as a mistake: it holds data. */
export const MAX_CODE_FILES = 50_000;

const BLOCK_BYTES = 512;
const FILE_MODE = 0o644;
const EXECUTABLE_MODE = 0o755;
/** Of the Pax header of a path or link target that is too long for a plain header. */
const MAX_PAX_BYTES = 16 * 1024;

export interface TarFile {
  readonly kind: "file";
  readonly path: string;
  readonly bytes: number;
  readonly executable: boolean;
}

export interface TarLink {
  readonly kind: "link";
  readonly path: string;
  readonly target: string;
}

export type TarEntry = TarFile | TarLink;

export type ReadTarEntry = (TarFile & { readonly content: AsyncIterable<Uint8Array> }) | TarLink;

/**
 * An archive's bytes.
 * @param entries sorted by path @param contentOf exactly as many bytes as the file has
 */
export async function* writeTar<File extends TarFile>(
  entries: Iterable<File | TarLink>,
  contentOf: (file: File) => AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  for (const entry of entries) {
    yield headerOf(entry);
    if (entry.kind === "link") continue;
    yield* contentOf(entry);
    yield Buffer.alloc(paddingOf(entry.bytes));
  }
  yield Buffer.alloc(2 * BLOCK_BYTES);
}

/**
 * An archive's entries, one at a time; content that nobody reads is passed over.
 * @throws CodeRefused for everything that `writeTar` does not make
 */
export async function* readTar(source: AsyncIterable<Uint8Array>): AsyncGenerator<ReadTarEntry> {
  const bytes = new ByteReader(source);
  let previous = "";
  const paths = new Set<string>();
  for (let count = 0; ; count += 1) {
    const entry = await readEntry(bytes);
    if (entry === undefined) break;
    if (count === MAX_CODE_FILES) {
      throw new CodeRefused("body_too_large", `the code has more than ${MAX_CODE_FILES} files`);
    }
    if (entry.path <= previous) throw damaged("its files are not in order");
    const above = directoriesOf(entry.path).find((directory) => paths.has(directory));
    if (above !== undefined)
      throw damaged(`${entry.path} is below ${above}, which is no directory`);
    paths.add(entry.path);
    previous = entry.path;
    if (entry.kind === "link") {
      yield entry;
      continue;
    }
    const content = bytes.chunks(entry.bytes);
    yield { ...entry, content };
    for await (const _ of content) void _;
    await bytes.take(paddingOf(entry.bytes));
  }
  const last = await bytes.take(BLOCK_BYTES);
  if (last.some((byte) => byte !== 0) || !(await bytes.ended())) throw damaged("no clean end");
}

/** `a` and `a/b` for `a/b/c`. The order of entries puts a file or link of such a path before what is below it. */
function directoriesOf(path: string): string[] {
  const names = path.split("/").slice(0, -1);
  return names.map((_, index) => names.slice(0, index + 1).join("/"));
}

async function readEntry(bytes: ByteReader): Promise<TarEntry | undefined> {
  let block = await bytes.take(BLOCK_BYTES);
  if (block.every((byte) => byte === 0)) return undefined;
  let header = new Header(block);
  let long: Pax | undefined;
  if (header.cksumValid && header.type === "ExtendedHeader") {
    const size = header.size ?? 0;
    if (size > MAX_PAX_BYTES) throw damaged("a path is too long");
    long = Pax.parse((await bytes.take(size)).toString("utf8"));
    await bytes.take(paddingOf(size));
    block = await bytes.take(BLOCK_BYTES);
    header = new Header(block);
  }
  const { type, size = 0, mode = 0 } = header;
  // `Header` with the Pax header given to it would keep the short target of a long link.
  const path = long?.path ?? header.path ?? "";
  const target = long?.linkpath ?? header.linkpath ?? "";
  if (!header.cksumValid) throw damaged("a header is not one");
  if (!isInsidePath(path)) throw damaged(`${JSON.stringify(path)} may lead out of it`);
  if (type === "File") {
    return { kind: "file", path, bytes: size, executable: (mode & 0o100) !== 0 };
  }
  if (type !== "SymbolicLink") throw damaged(`${path} is neither a file nor a link`);
  if (size !== 0 || linkTarget(path, target) !== target) {
    throw damaged(`the link ${path} may lead out of it`);
  }
  return { kind: "link", path, target };
}

function headerOf(entry: TarEntry): Buffer {
  const isLink = entry.kind === "link";
  const header = new Header({
    path: entry.path,
    type: isLink ? "SymbolicLink" : "File",
    mode: isLink || entry.executable ? EXECUTABLE_MODE : FILE_MODE,
    size: isLink ? 0 : entry.bytes,
    uid: 0,
    gid: 0,
    uname: "",
    gname: "",
    mtime: new Date(0),
    ...(isLink ? { linkpath: entry.target } : {}),
  });
  const needsPax = header.encode();
  const block = header.block as Buffer;
  if (!needsPax) return block;
  const { path } = entry;
  const pax = new Pax({ path, ...(isLink ? { linkpath: entry.target } : {}) });
  return Buffer.concat([pax.encode(), block]);
}

function paddingOf(bytes: number): number {
  return (BLOCK_BYTES - (bytes % BLOCK_BYTES)) % BLOCK_BYTES;
}

function damaged(reason: string): CodeRefused {
  return new CodeRefused("bad_request", `the code is not as Postern packs it: ${reason}`);
}

/** Reads a byte stream in the portions that its caller asks for. */
class ByteReader {
  readonly #source: AsyncIterator<Uint8Array>;
  #rest: Uint8Array = new Uint8Array(0);

  constructor(source: AsyncIterable<Uint8Array>) {
    this.#source = source[Symbol.asyncIterator]();
  }

  /** Exactly so many bytes, in memory. @throws CodeRefused where the stream ends before */
  async take(bytes: number): Promise<Buffer> {
    const parts: Uint8Array[] = [];
    for await (const part of this.chunks(bytes)) parts.push(part);
    return Buffer.concat(parts);
  }

  /** Exactly so many bytes, as they come. A second iteration goes on where the first one stopped. */
  chunks(bytes: number): AsyncIterable<Uint8Array> {
    let missing = bytes;
    const next = async (): Promise<IteratorResult<Uint8Array>> => {
      if (missing === 0) return { done: true, value: undefined };
      if (this.#rest.length === 0 && !(await this.#fill())) throw damaged("it is cut off");
      const value = this.#rest.subarray(0, missing);
      this.#rest = this.#rest.subarray(value.length);
      missing -= value.length;
      return { done: false, value };
    };
    return { [Symbol.asyncIterator]: () => ({ next }) };
  }

  async ended(): Promise<boolean> {
    return this.#rest.length === 0 && !(await this.#fill());
  }

  async #fill(): Promise<boolean> {
    for (;;) {
      const { done, value } = await this.#source.next();
      if (done === true) return false;
      this.#rest = value;
      if (value.length > 0) return true;
    }
  }
}
