/** Reads secrets from stdin, one on a line. A person's input is not echoed. */

import { createInterface, type Interface } from "node:readline";
import { Writable } from "node:stream";
import { CommandFailure } from "./failure.ts";
import { printNotice } from "./output.ts";

export class SecretInput {
  #interface: Interface | undefined;
  #lines: AsyncIterator<string> | undefined;

  /** The next line; a CommandFailure when there is none. `what` is what a person is asked for. */
  async line(what: string): Promise<string> {
    if (this.#lines === undefined) {
      // A terminal shows all that readline writes, so readline writes to a sink.
      const output = new Writable({ write: (_chunk, _encoding, done) => done() });
      const terminal = process.stdin.isTTY;
      this.#interface = createInterface({ input: process.stdin, output, terminal });
      this.#lines = this.#interface[Symbol.asyncIterator]();
    }
    if (process.stdin.isTTY) printNotice(`${what}:`);
    const { value, done } = await this.#lines.next();
    const text = done === true ? "" : value.trim();
    if (text === "") throw new CommandFailure(`no ${what} on stdin`);
    return text;
  }

  close(): void {
    this.#interface?.close();
  }
}
