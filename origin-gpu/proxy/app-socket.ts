/**
 * Connections to an app that deliver a response which came before its request was sent whole. Such an app closes its
 * connection with bytes unread; the kernel then fails our writes, and Node would drop what has been received.
 * The connections also give the buffers of request bodies back, once those are written.
 */
import type { Socket } from "node:net";
import { buildConnector } from "undici";
import { bodyBuffers } from "../calls/body-buffers.ts";

type Connector = ReturnType<typeof buildConnector>;
type Written = (error?: Error | null) => void;

/** The codes of a write to a peer that reads no more. */
const READS_NO_MORE: ReadonlySet<string> = new Set(["EPIPE", "ECONNRESET"]);

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
  const outlast = (error: Error | null | undefined, written: Written): void => {
    const { code = "" } = (error ?? {}) as NodeJS.ErrnoException;
    if (!READS_NO_MORE.has(code)) return written(error);
    isFed = false;
    written();
  };
  const write = socket._write.bind(socket);
  socket._write = (chunk, encoding, written) => {
    if (!isFed) return written();
    write(chunk, encoding, (error) => {
      giveBack(chunk);
      outlast(error, written);
    });
  };
  const writev = socket._writev?.bind(socket);
  if (writev === undefined) return;
  socket._writev = (chunks, written) => {
    if (!isFed) return written();
    writev(chunks, (error) => {
      for (const { chunk } of chunks) giveBack(chunk);
      outlast(error, written);
    });
  };
}

function giveBack(chunk: unknown): void {
  if (chunk instanceof Uint8Array) bodyBuffers.giveBack(chunk);
}
