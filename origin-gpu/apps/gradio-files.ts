/**
 * Brings the files that a request names to this box. A client without a session key may upload to one box and call
 * another: the call names the file by its path on the first one. It is fetched through the gateway, and the request goes
 * to the app with this box's path.
 */
import type { Observer } from "../../base/observer.ts";
import { getHeader } from "../../base/headers.ts";
import { MIB, SECOND_MS } from "../../base/units.ts";
import { messageOf } from "../../base/thrown.ts";
import { isPlainJson } from "../../routing/affinity/values.ts";
import { type SharedFile, sharedFile } from "../../routing/wire/shared-files.ts";
import type { Call } from "../calls/call.ts";
import type { GatewayAddress } from "../link/gateway-address.ts";
import { GatewayClient } from "../link/gateway-client.ts";
import type { GradioDirectory } from "./gradio-directories.ts";

/** A longer body goes to the app as it came. */
const MAX_BODY_BYTES = MIB;

/** Of one request. */
const MAX_FILES = 32;

/** For all files of one request; its call has a place at its container meanwhile. */
const TIMEOUT_MS = 60 * SECOND_MS;

/** Strings of JSON. */
const STRINGS = /"(?:[^"\\]|\\.)*"/g;

/** The function whose containers share the files. */
interface FileEndpoint {
  readonly environment: string;
  readonly app: string;
  readonly function: string;
}

/** Gets a file from another box that has it. @throws where none has */
export type FetchFile = (
  file: SharedFile,
  signal: AbortSignal,
) => Promise<{ readonly bytes: number; readonly content: AsyncIterable<Uint8Array> }>;

/** The files of a function, fetched through the gateway. */
export function filesOf(
  endpoint: FileEndpoint,
  directory: GradioDirectory,
  { gateway, observer }: { readonly gateway: GatewayAddress; readonly observer: Observer },
): GradioFiles {
  const client = new GatewayClient(gateway);
  const fetch: FetchFile = async ({ folder, name: file }, signal) =>
    await client.askForFile({ ...endpoint, folder, file }, signal);
  return new GradioFiles(directory, fetch, observer.notice);
}

export class GradioFiles {
  readonly #directory: GradioDirectory;
  readonly #fetch: FetchFile;
  readonly #log: (line: string) => void;

  /** @param log one line for the operator */
  constructor(directory: GradioDirectory, fetch: FetchFile, log: (line: string) => void) {
    this.#directory = directory;
    this.#fetch = fetch;
    this.#log = log;
  }

  hasOne(keys: readonly string[]): boolean {
    return this.#directory.hasOne(keys);
  }

  /** @returns undefined at once for a request that names no file */
  bring({ head, body }: Pick<Call, "head" | "body">): Promise<void> | undefined {
    const { method, headers } = head;
    if (method !== "POST" || body.incomplete || body.bytes === 0) return undefined;
    const type = getHeader(headers, "content-type");
    if (!isPlainJson(type, getHeader(headers, "content-encoding"))) return undefined;
    return this.#bring(head.headers, body);
  }

  async #bring(headers: string[], body: Call["body"]): Promise<void> {
    const bytes = await body.collect(MAX_BODY_BYTES);
    const text = bytes === undefined ? "" : Buffer.from(bytes).toString();
    if (!text.includes(this.#directory.mark)) return;
    const named = new Map<string, SharedFile>();
    for (const [token] of text.matchAll(STRINGS)) {
      const file = this.#fileOf(token);
      if (file !== undefined && named.size < MAX_FILES) named.set(token, file);
    }
    const signal = AbortSignal.timeout(TIMEOUT_MS);
    const brought = new Map<string, string>();
    for (const [token, file] of named) {
      const path = await this.#pathOf(file, signal);
      if (path !== undefined) brought.set(token, JSON.stringify(path));
    }
    const rewritten = text.replaceAll(STRINGS, (token) => brought.get(token) ?? token);
    if (rewritten === text) return;
    const replaced = Buffer.from(rewritten);
    body.replace(replaced);
    for (let at = 0; at < headers.length; at += 2) {
      if (headers[at] === "content-length") headers[at + 1] = String(replaced.length);
    }
  }

  /** The file of an endpoint's directory, on whichever box, that a string of JSON names by its path. */
  #fileOf(token: string): SharedFile | undefined {
    if (!token.startsWith('"/') || !token.includes(this.#directory.mark)) return undefined;
    let path: string;
    try {
      path = JSON.parse(token) as string;
    } catch {
      return undefined;
    }
    const { mark } = this.#directory;
    return sharedFile(path.slice(path.lastIndexOf(mark) + mark.length));
  }

  /** Its path here; undefined where it could not be brought. */
  async #pathOf(file: SharedFile, signal: AbortSignal): Promise<string | undefined> {
    const directory = this.#directory;
    try {
      if (!(await directory.has(file))) {
        const { bytes, content } = await this.#fetch(file, signal);
        await directory.take(file, content, bytes);
      }
      return directory.pathOf(file);
    } catch (error) {
      const reason = messageOf(error);
      this.#log(`postern: a file that a request names could not be brought here: ${reason}`);
      return undefined;
    }
  }
}
