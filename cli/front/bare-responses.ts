/**
 * Replaces workerd's own responses to requests that reach no Worker by responses with a code, as all other errors of
 * the gateway have. workerd closes the connection after each of them.
 */

import { STATUS_CODES } from "node:http";
import { problem } from "../../routing/problem.ts";
import type { ErrorCode } from "../../routing/wire/errors.ts";

/** To CONNECT (RFC 9110, 9.3.6). */
const TO_CONNECT =
  "HTTP/1.1 500 Internal Server Error\r\nConnection: close\r\nContent-Length: 21\r\n\r\nInternal Server Error";

/** To a method that workerd does not know, such as M-SEARCH or LINK. */
const TO_UNKNOWN_METHOD =
  "HTTP/1.1 501 Not Implemented\r\nConnection: close\r\nContent-Length: 35\r\n" +
  "Content-Type: text/plain\r\n\r\nERROR: Unrecognized request method.";

/** The response to CONNECT. */
export const NO_PROXY = closingResponse("not_supported", "this is no proxy");

const REPLACEMENTS: readonly (readonly [bare: Buffer, response: string])[] = [
  [Buffer.from(TO_CONNECT, "latin1"), NO_PROXY],
  [
    Buffer.from(TO_UNKNOWN_METHOD, "latin1"),
    closingResponse("not_supported", "the gateway does not know this method"),
  ],
];

/** The response that replaces these bytes; undefined unless they are exactly a bare response of workerd's. */
export function replacementFor(chunk: Buffer): string | undefined {
  for (const [bare, response] of REPLACEMENTS) {
    if (chunk.length === bare.length && chunk.equals(bare)) return response;
  }
  return undefined;
}

/** A response of the front itself, after which the connection closes. */
export function closingResponse(code: ErrorCode, detail: string): string {
  const { status, headers, body } = problem(code, detail, { accept: null });
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  return (
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n${lines.join("")}` +
    `Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`
  );
}
