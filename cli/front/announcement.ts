/**
 * The internal request by which the front tells the Worker whose connection this is: behind the front
 * every client seems to come from 127.0.0.1. It is the first request on each upstream connection, and
 * only a holder of this process's secret can make it. It says nothing about any request that follows.
 */

/** Longest answer head that is still taken for the Worker's; a 204 has under 100 bytes. */
const MAX_ANSWER_BYTES = 4096;

/** What is shown of an answer that has no line. */
const MAX_LINE_BYTES = 80;

const ACCEPTED = Buffer.from("HTTP/1.1 204 ", "latin1");
const HEAD_END = Buffer.from("\r\n\r\n", "latin1");

/** The request's bytes for a client at `address` (an IP address without a port). */
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

/** IPv4 clients of a dual-stack socket appear as `::ffff:192.0.2.1`; the Worker is told `192.0.2.1`. */
export function plainAddress(remoteAddress: string): string {
  return remoteAddress.startsWith("::ffff:") && remoteAddress.includes(".")
    ? remoteAddress.slice("::ffff:".length)
    : remoteAddress;
}

/** What reading an answer found; `refused` with a status line that may be cut. */
export type AnswerProgress =
  | { readonly kind: "incomplete" }
  | { readonly kind: "accepted" }
  | { readonly kind: "refused"; readonly statusLine: string };

/** Reads the Worker's answer, however its bytes are split. Nothing follows it: nothing else was asked. */
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
