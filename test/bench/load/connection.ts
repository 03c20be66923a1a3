/** Raw connections of the load generator: prebuilt heads, and answers told apart by their framing alone. */
import { type Socket, connect } from "node:net";

import type { Address } from "../../support/http-client.ts";

export const HEAD_END = Buffer.from("\r\n\r\n");
const LAST_CHUNK = Buffer.from("0\r\n\r\n");

export async function dial({ port }: Address): Promise<Socket> {
  const socket = connect({ port, host: "127.0.0.1", noDelay: true });
  await new Promise<void>((resolve, reject) => {
    socket.once("connect", resolve);
    socket.once("error", reject);
  });
  return socket;
}

export async function dialMany(target: Address, count: number): Promise<Socket[]> {
  return await Promise.all(Array.from({ length: count }, async () => await dial(target)));
}

export const head = ({ host }: Address, line: string, more = "") =>
  Buffer.from(`${line} HTTP/1.1\r\nHost: ${host}\r\n${more}\r\n`);

/** Where the answer that starts in this buffer has its body; undefined while its end has not arrived. */
function answerBody(buffer: Buffer): { readonly from: number; readonly end: number } | undefined {
  const headEnd = buffer.indexOf(HEAD_END);
  if (headEnd === -1) return undefined;
  const text = buffer.toString("latin1", 0, headEnd);
  if (!text.startsWith("HTTP/1.1 200")) throw new Error(`unexpected answer: ${text}`);
  const from = headEnd + HEAD_END.length;
  const declared = /\r\ncontent-length: *(\d+)/i.exec(text)?.[1];
  if (declared !== undefined) {
    const end = from + Number(declared);
    return buffer.length >= end ? { from, end } : undefined;
  }
  const last = buffer.indexOf(LAST_CHUNK, headEnd);
  return last === -1 ? undefined : { from, end: last };
}

/**
 * Calls `onAnswer` with the body of each whole answer on the socket, until it returns false; rejects
 * when the socket ends before that. A chunked body comes with its framing.
 */
export async function eachAnswer(
  socket: Socket,
  onAnswer: (body: Buffer) => boolean,
  onBytes?: (buffer: Buffer) => void,
): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    let pending: Buffer | undefined;
    socket.on("error", reject);
    socket.on("close", () => reject(new Error("the server closed a connection under load")));
    socket.on("data", (chunk: Buffer) => {
      const buffer = pending === undefined ? chunk : Buffer.concat([pending, chunk]);
      let wantsMore = true;
      try {
        onBytes?.(buffer);
        const body = answerBody(buffer);
        pending = body === undefined ? buffer : undefined;
        if (body !== undefined) wantsMore = onAnswer(buffer.subarray(body.from, body.end));
      } catch (error) {
        reject(error);
        return;
      }
      if (wantsMore) return;
      resolve();
      socket.removeAllListeners("close").destroy();
    });
  });
}
