/**
 * Connections to an app that deliver a response which came before its request was sent whole. Such an app closes its
 * connection with bytes unread; the kernel then fails our writes, and Node would drop what has been received.
 * The connections also give the buffers of request bodies back, once those are written, and count what they wrote.
 */
import type { Socket } from "node:net";
import { buildConnector } from "undici";
import { bodyBuffers } from "../calls/body-buffers.ts";

type Connector = ReturnType<typeof buildConnector>;
type Written = (error?: Error | null) => void;

/** The codes of a write to a peer that reads no more. */
const READS_NO_MORE: ReadonlySet<string> = new Set(["EPIPE", "ECONNRESET"]);

/** How many writes of a connection the system took, in whole or in part. */
const taken = new WeakMap<Socket, number>();

/**
 * Writes that may have brought a byte to the app. While this number stays as it was, no byte has left: the system
 * refused the first write at once, as it does on a connection that the app has reset.
 */
export function writesTaken(socket: Socket): number {
  return taken.get(socket) ?? 0;
}

/** As undici's own connector, with sockets that are read to their end after a failed write. */
export function appConnector(options: buildConnector.BuildOptions): Connector {
  const connect = buildConnector(options);
  return (target, onConnect) =>
    connect(target, (...result) => {
      // Undefined for a connection that failed, whatever the types say.
      const socket: Socket | null | undefined = result[1];
      if (socket !== null && socket !== undefined) readAfterFailedWrite(socket);
      onConnect(...result);
    });
}

/** From the first failed write on, the socket takes what is written and sends nothing. The read side ends it. */
function readAfterFailedWrite(socket: Socket): void {
  let isFed = true;
  /** Runs a write. Of a failure that comes later, or below TLS, nobody knows how much had left. */
  const count = (write: (written: Written) => void, written: Written): void => {
    let isRefused = false;
    let isNow = true;
    write((error) => {
      isRefused = isNow && error instanceof Error && !isEncrypted(socket);
      written(error);
    });
    isNow = false;
    if (!isRefused) taken.set(socket, writesTaken(socket) + 1);
  };
  const outlast = (error: Error | null | undefined, written: Written): void => {
    const { code = "" } = (error ?? {}) as NodeJS.ErrnoException;
    if (!READS_NO_MORE.has(code)) return written(error);
    isFed = false;
    written();
  };
  const write = socket._write.bind(socket);
  socket._write = (chunk, encoding, written) => {
    if (!isFed) return written();
    count(
      (done) => write(chunk, encoding, done),
      (error) => {
        giveBack(chunk);
        outlast(error, written);
      },
    );
  };
  const writev = socket._writev?.bind(socket);
  if (writev === undefined) return;
  socket._writev = (chunks, written) => {
    if (!isFed) return written();
    count(
      (done) => writev(chunks, done),
      (error) => {
        for (const { chunk } of chunks) giveBack(chunk);
        outlast(error, written);
      },
    );
  };
}

function isEncrypted(socket: Socket): boolean {
  return "encrypted" in socket && socket.encrypted === true;
}

function giveBack(chunk: unknown): void {
  if (chunk instanceof Uint8Array) bodyBuffers.giveBack(chunk);
}
