/**
 * The internal request by which the front tells the Worker whose connection this is: behind the front
 * every client seems to come from 127.0.0.1. It is the first request on each upstream connection, and
 * only a holder of this process's secret can make it. It says nothing about any request that follows.
 */

/** Longest answer head that is still taken for the Worker's; a 204 has under 100 bytes. */
const MAX_ANSWER_BYTES = 4096;

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

/** What reading an answer found: more bytes are needed, it was a refusal, or what follows is the client's. */
export type AnswerProgress =
  | { readonly kind: "incomplete" }
  | { readonly kind: "refused"; readonly statusLine: string }
  | { readonly kind: "accepted"; readonly rest: Buffer };

/** Takes the Worker's 204 off the front of an upstream connection, however its bytes are split. */
export class AnswerReader {
  #head: Buffer = Buffer.alloc(0);

  push(chunk: Buffer): AnswerProgress {
    this.#head = this.#head.length === 0 ? chunk : Buffer.concat([this.#head, chunk]);
    const end = this.#head.indexOf(HEAD_END);
    if (end === -1 && this.#head.length < MAX_ANSWER_BYTES) return { kind: "incomplete" };
    if (end === -1 || !this.#head.subarray(0, ACCEPTED.length).equals(ACCEPTED)) {
      const lineEnd = this.#head.indexOf("\r\n");
      const line = this.#head.subarray(0, lineEnd === -1 ? 80 : lineEnd);
      return { kind: "refused", statusLine: line.toString("latin1") };
    }
    return { kind: "accepted", rest: this.#head.subarray(end + HEAD_END.length) };
  }
}
