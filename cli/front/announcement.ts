/**
 * The internal request with which the front tells the Worker whose connection this is: behind the front each client
 * seems to come from 127.0.0.1. The front sends it first on each connection to workerd. It carries this process's
 * secret, so no client can send one. It says nothing about the requests that follow.
 */

/** The longest head that may be the Worker's response. A 204 has under 100 bytes. */
const MAX_ANSWER_BYTES = 4096;

/** Bytes that are logged of a response without a line end. */
const MAX_LINE_BYTES = 80;

const ACCEPTED = Buffer.from("HTTP/1.1 204 ", "latin1");
const HEAD_END = Buffer.from("\r\n\r\n", "latin1");

/** The request's bytes. @param address the client's IP address, without a port */
export function announcement(baseDomain: string, secret: string, address: string): Buffer {
  return Buffer.from(
    "POST /_postern/connection HTTP/1.1\r\n" +
      `Host: ${baseDomain}\r\n` +
      `postern-front-secret: ${secret}\r\n` +
      `postern-client-address: ${address}\r\n` +
      "content-length: 0\r\n\r\n",
    "latin1",
  );
}

/** The state of reading a response. The status line of a refusal may be cut. */
export type AnswerProgress =
  | { readonly kind: "incomplete" }
  | { readonly kind: "accepted" }
  | { readonly kind: "refused"; readonly statusLine: string };

/** Reads the Worker's response, however its bytes are split. Nothing else was asked, so nothing may follow. */
export class AnswerReader {
  #head: Buffer = Buffer.alloc(0);

  push(chunk: Buffer): AnswerProgress {
    this.#head = Buffer.concat([this.#head, chunk]);
    const isWhole = this.#head.includes(HEAD_END);
    if (!isWhole && this.#head.length < MAX_ANSWER_BYTES) return { kind: "incomplete" };
    const accepted = this.#head.subarray(0, ACCEPTED.length).equals(ACCEPTED);
    if (
      isWhole &&
      accepted &&
      this.#head.indexOf(HEAD_END) + HEAD_END.length === this.#head.length
    ) {
      return { kind: "accepted" };
    }
    const lineEnd = this.#head.indexOf("\r\n");
    const line = this.#head.subarray(0, lineEnd === -1 ? MAX_LINE_BYTES : lineEnd);
    return { kind: "refused", statusLine: line.toString("latin1") };
  }
}
