/** The payloads of frames: which numbers and JSON texts stand in them, and where the body bytes begin. */
import { ProtocolError, readUint32, uint32, writeUint32 } from "./frames.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** OPEN: a call or an operation, with the first bytes of its body. */
export interface OpenPayload {
  /** Bytes of the request's body that the gateway may send before any CREDIT. */
  readonly requestWindow: number;
  /** Bytes of the response's body that the agent may send before any CREDIT. */
  readonly responseWindow: number;
  /** JSON. */
  readonly head: string;
  readonly body: Uint8Array;
}

export function packOpen({ requestWindow, responseWindow, head, body }: OpenPayload): Uint8Array[] {
  const json = encoder.encode(head);
  const numbers = new Uint8Array(12);
  writeUint32(numbers, 0, requestWindow);
  writeUint32(numbers, 4, responseWindow);
  writeUint32(numbers, 8, json.length);
  return [numbers, json, body];
}

/** @throws {ProtocolError} */
export function unpackOpen(payload: Uint8Array): OpenPayload {
  if (payload.length < 12) throw new ProtocolError("open: cut off");
  const { head, body } = unpackHead(payload, 8);
  return {
    requestWindow: readUint32(payload, 0),
    responseWindow: readUint32(payload, 4),
    head,
    body,
  };
}

export function packAttach(responseWindow: number, request: string): Uint8Array[] {
  return [uint32(responseWindow), encoder.encode(request)];
}

/** @throws {ProtocolError} */
export function unpackAttach(payload: Uint8Array): { responseWindow: number; request: string } {
  if (payload.length < 4) throw new ProtocolError("attach: cut off");
  return { responseWindow: readUint32(payload, 0), request: unpackText(payload.subarray(4)) };
}

/** A JSON text after its length, and the body bytes behind it. @throws {ProtocolError} */
export function unpackHead(payload: Uint8Array, at: number): { head: string; body: Uint8Array } {
  const start = at + 4;
  if (payload.length < start) throw new ProtocolError("a head is cut off");
  const end = start + readUint32(payload, at);
  if (end > payload.length) throw new ProtocolError("a head is cut off");
  return { head: unpackText(payload.subarray(start, end)), body: payload.subarray(end) };
}

/** @throws {ProtocolError} */
export function unpackCredit(payload: Uint8Array): number {
  if (payload.length !== 4) throw new ProtocolError("credit: not four bytes");
  return readUint32(payload, 0);
}

/**
 * JSON text. A control character stands in none that `JSON.stringify` made. The object passes the text on in a
 * header, where one would be an error of its own.
 * @throws {ProtocolError} for what is not UTF-8, or has a control character
 */
export function unpackText(bytes: Uint8Array): string {
  let text: string;
  try {
    text = decoder.decode(bytes);
  } catch {
    throw new ProtocolError("text that is not UTF-8");
  }
  // oxlint-disable-next-line no-control-regex
  if (/[\u0000-\u001f]/.test(text)) throw new ProtocolError("text with a control character");
  return text;
}
