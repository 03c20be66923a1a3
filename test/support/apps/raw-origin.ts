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
  /** The body bytes of each request so far, chunk framing included. */
  readonly bodies: readonly string[];
  /** What a path answers from now on; the query string does not count. */
  answer(path: string, act: Act | string): void;
  close(): Promise<void>;
}

/** How the body of a request ends: after this many bytes, or with the last chunk. */
type BodyEnd = number | "last chunk";

function bodyEnd(head: string): BodyEnd {
  if (/^transfer-encoding:/im.test(head)) return "last chunk";
  return Number(/^content-length: *(\d+)/im.exec(head)?.[1] ?? 0);
}

/** Starts the origin on a free loopback port. Paths that have no answer get a plain 404. */
export async function startRawOrigin(): Promise<RawOrigin> {
  const heads: string[] = [];
  const bodies: string[] = [];
  const acts = new Map<string, Act>();
  const sockets = new Set<Socket>();
  acts.set("/head", (socket) => {
    const head = Buffer.from(heads.at(-1) ?? "", "latin1").toString("base64");
    socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${head.length}\r\n\r\n${head}`);
  });
  const notFound: Act = (socket) => {
    socket.write("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
  };

  const server = createServer({ noDelay: true }, (socket) => {
    sockets.add(socket);
    socket.on("error", () => socket.destroy());
    socket.once("close", () => sockets.delete(socket));
    let pending = "";
    let reading: { end: BodyEnd; index: number } | undefined;
    socket.on("data", (chunk) => {
      pending += chunk.toString("latin1");
      for (;;) {
        if (reading === undefined) {
          const end = pending.indexOf("\r\n\r\n");
          if (end === -1) return;
          const head = pending.slice(0, end);
          pending = pending.slice(end + 4);
          heads.push(head);
          reading = { end: bodyEnd(head), index: bodies.push("") - 1 };
          const path = (head.split(" ", 2)[1] ?? "").split("?", 1)[0] ?? "";
          void (acts.get(path) ?? notFound)(socket);
        }
        const body = (bodies[reading.index] ?? "") + pending;
        const length =
          reading.end === "last chunk" ? /(?:^|\r\n)0\r\n\r\n/.exec(body) : reading.end;
        const whole =
          typeof length === "number"
            ? length
            : length === null
              ? Infinity
              : length.index + length[0].length;
        bodies[reading.index] = body.slice(0, whole);
        pending = body.slice(whole);
        if (body.length < whole) return;
        reading = undefined;
      }
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", resolve);
  });
  return {
    port: (server.address() as AddressInfo).port,
    heads,
    bodies,
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
