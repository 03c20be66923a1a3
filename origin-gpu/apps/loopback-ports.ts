/**
 * Remembers the port of each endpoint's proxy at 127.0.0.1 (loopback-proxy.ts) for the next agent: a container that it
 * takes over knows the URL. In a file, or nowhere.
 */
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { z } from "zod";
import { PRIVATE_FILE_MODE } from "../calls/store/files.ts";

const PORTS = z.record(z.string(), z.int().min(1).max(65_535));

export class LoopbackPorts {
  readonly #file: string | undefined;
  /** By the endpoint's own URL: those of the last agent, and those of this one, which are kept. */
  readonly #last: ReadonlyMap<string, number>;
  readonly #ports = new Map<string, number>();

  constructor(file?: string) {
    this.#file = file;
    this.#last = new Map(Object.entries(file === undefined ? {} : read(file)));
  }

  /** 0, for any, where the last agent had none. */
  portOf(url: string): number {
    return this.#last.get(url) ?? 0;
  }

  /** A disk that does not take it only makes the next agent choose another port. */
  note(url: string, port: number | undefined): void {
    if (port === undefined) return;
    this.#ports.set(url, port);
    if (this.#file === undefined) return;
    const draft = `${this.#file}.draft`;
    try {
      const text = JSON.stringify(Object.fromEntries(this.#ports));
      writeFileSync(draft, text, { mode: PRIVATE_FILE_MODE });
      renameSync(draft, this.#file);
    } catch {
      // As above.
    }
  }
}

function read(file: string): Record<string, number> {
  try {
    return PORTS.parse(JSON.parse(readFileSync(file, "utf8")));
  } catch {
    // There is none, or another Postern wrote it.
    return {};
  }
}
