/**
 * An origin below HTTP: a TCP server that keeps every request head as it arrived and answers with
 * exactly the bytes that the test asks for, right or wrong. `/head` answers with the head it received.
 * It runs inside the test, as an `upstream`.
 */
import { type AddressInfo, type Socket, createServer } from "node:net";

/** What an answer may do: write bytes, wait, end or reset its connection. */
export type Act = (socket: Socket) => void | Promise<void>;

export interface RawOrigin {
  readonly port: number;
  /** The heads of all requests so far, Latin-1, in order of arrival. */
  readonly heads: readonly string[];
  /** Every byte that followed a head on the connection that brought it. */
  readonly received: readonly Buffer[];
  /** What a path answers from now on; the query string does not count. */
  answer(path: string, act: Act | string): void;
  close(): Promise<void>;
}

/** Starts the origin on a free loopback port. Paths that have no answer get a plain 404. */
export async function startRawOrigin(): Promise<RawOrigin> {
  const heads: string[] = [];
  const received: Buffer[] = [];
  const acts = new Map<string, Act>();
  const sockets = new Set<Socket>();
  acts.set("/head", (socket) => {
    const head = Buffer.from(heads.at(-1) ?? "", "latin1").toString("base64");
    socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${head.length}\r\n\r\n${head}`);
  });

  const server = createServer({ noDelay: true }, (socket) => {
    sockets.add(socket);
    socket.on("error", () => socket.destroy());
    socket.once("close", () => sockets.delete(socket));
    let pending = Buffer.alloc(0);
    socket.on("data", (chunk) => {
      pending = Buffer.concat([pending, chunk]);
      const end = pending.indexOf("\r\n\r\n");
      if (end === -1) return;
      const head = pending.subarray(0, end).toString("latin1");
      // What follows the head stays for the next round only when it is a request of its own.
      const rest = pending.subarray(end + 4);
      pending = Buffer.alloc(0);
      if (!/^[A-Z]+ \S+ HTTP\/1\.1\r\n/.test(head)) {
        received.push(Buffer.concat([Buffer.from(head, "latin1"), rest]));
        return;
      }
      heads.push(head);
      received.push(rest);
      const path = (head.split(" ", 2)[1] ?? "").split("?", 1)[0] ?? "";
      const act =
        acts.get(path) ??
        ((peer: Socket) => {
          peer.write("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
        });
      void act(socket);
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", resolve);
  });
  return {
    port: (server.address() as AddressInfo).port,
    heads,
    received,
    answer: (path, act) => {
      acts.set(
        path,
        typeof act === "string"
          ? (socket) => {
              socket.write(Buffer.from(act, "latin1"));
            }
          : act,
      );
    },
    close: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise<void>((resolve) => {
        server.close(() => resolve());
      });
    },
  };
}
