/** A stand-in for workerd behind the front: a bare TCP server whose every byte the test decides. */
import { createServer, type AddressInfo, type Socket } from "node:net";
import { onTestFinished } from "vitest";

const ANNOUNCEMENT_END = "\r\n\r\n";
const DEFAULT_ANSWER = "HTTP/1.1 204 No Content\r\n\r\n";

/** One connection of the front, after its announcement. */
export interface UpstreamConnection {
  readonly socket: Socket;
  readonly announcement: string;
  /** What has come after the announcement. */
  received(): Buffer;
  /** Resolves when this text has come after the announcement. */
  receivedText(text: string): Promise<void>;
  /** How the front's side ended: `end` by FIN, `reset` by RST. */
  readonly ended: Promise<"end" | "reset">;
  /** Resolves at RST. After a FIN Node no longer reads, so then it takes a write to notice. */
  readonly reset: Promise<void>;
}

export interface UpstreamStandIn {
  readonly port: number;
  /** The connections in order; waits for the next one that has announced itself. */
  next(): Promise<UpstreamConnection>;
}

/** Answers each announcement with `answer`, whose pieces are sent one by one. */
export async function startUpstream(
  answer: readonly string[] = [DEFAULT_ANSWER],
  port = 0,
): Promise<UpstreamStandIn> {
  const ready: UpstreamConnection[] = [];
  const waiting: ((connection: UpstreamConnection) => void)[] = [];
  const sockets = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    sockets.add(socket);
    accept(socket, answer, (connection) => {
      const waiter = waiting.shift();
      if (waiter === undefined) ready.push(connection);
      else waiter(connection);
    });
  });
  await new Promise<void>((resolve) => {
    server.listen(port, "127.0.0.1", resolve);
  });
  onTestFinished(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  return {
    port: (server.address() as AddressInfo).port,
    next: async () =>
      ready.shift() ?? (await new Promise<UpstreamConnection>((resolve) => waiting.push(resolve))),
  };
}

function accept(
  socket: Socket,
  answer: readonly string[],
  announced: (connection: UpstreamConnection) => void,
): void {
  const ended = Promise.withResolvers<"end" | "reset">();
  const reset = Promise.withResolvers<void>();
  let announcement: string | undefined;
  let bytes: Buffer = Buffer.alloc(0);
  let changed = Promise.withResolvers<void>();
  socket.on("error", () => {
    ended.resolve("reset");
    reset.resolve();
  });
  socket.on("end", () => ended.resolve("end"));
  socket.on("data", (chunk: Buffer) => {
    bytes = Buffer.concat([bytes, chunk]);
    changed.resolve();
    changed = Promise.withResolvers<void>();
    if (announcement !== undefined) return;
    const end = bytes.indexOf(ANNOUNCEMENT_END);
    if (end === -1) return;
    announcement = bytes.toString("latin1", 0, end + ANNOUNCEMENT_END.length);
    bytes = bytes.subarray(end + ANNOUNCEMENT_END.length);
    const connection: UpstreamConnection = {
      socket,
      announcement,
      received: () => bytes,
      async receivedText(text) {
        while (!bytes.includes(text)) await changed.promise;
      },
      ended: ended.promise,
      reset: reset.promise,
    };
    void sendPieces(socket, answer).then(() => announced(connection));
  });
}

/** Each piece is given to the kernel on its own, so that the front may well see them apart. */
async function sendPieces(socket: Socket, pieces: readonly string[]): Promise<void> {
  for (const piece of pieces) {
    socket.write(piece);
    await new Promise((resolve) => setImmediate(resolve));
  }
}
