/**
 * The load generator: a process of its own that is cheaper than every server it drives. Raw sockets,
 * keep-alive, one request in flight per connection, requests prebuilt, answers measured by their
 * framing and not otherwise looked at. Jobs come over IPC, results go back the same way.
 */
import { type Socket, connect } from "node:net";

interface Target {
  readonly port: number;
  readonly host: string;
}

export type Job = { readonly target: Target } & (
  | { readonly kind: "requests"; readonly connections: number; readonly forMs: number }
  | { readonly kind: "first chunk"; readonly count: number }
  | { readonly kind: "download" | "upload"; readonly bytes: number }
  | { readonly kind: "websocket"; readonly connections: number; readonly forMs: number }
);

export interface Result {
  /** Answers, round trips, or bytes. */
  readonly count: number;
  readonly elapsedMs: number;
  /** Of single answers; 0 where the job has none. */
  readonly p50Ms: number;
  readonly p99Ms: number;
}

const HEAD_END = Buffer.from("\r\n\r\n");
const LAST_CHUNK = Buffer.from("0\r\n\r\n");
const UPLOAD_BLOCK = Buffer.alloc(256 * 1024, "postern ");
const WEBSOCKET_PAYLOAD_BYTES = 64;

async function dial(target: Target): Promise<Socket> {
  const socket = connect({ port: target.port, host: "127.0.0.1", noDelay: true });
  await new Promise<void>((resolve, reject) => {
    socket.once("connect", resolve);
    socket.once("error", reject);
  });
  return socket;
}

const head = (target: Target, line: string, more = "") =>
  Buffer.from(`${line} HTTP/1.1\r\nHost: ${target.host}\r\n${more}\r\n`);

/** Bytes of the answer that starts in this buffer; undefined while its end has not arrived. */
function answerLength(buffer: Buffer): number | undefined {
  const end = buffer.indexOf(HEAD_END);
  if (end === -1) return undefined;
  const text = buffer.toString("latin1", 0, end);
  if (!text.startsWith("HTTP/1.1 200")) throw new Error(`unexpected answer: ${text}`);
  const declared = /\r\ncontent-length: *(\d+)/i.exec(text)?.[1];
  if (declared !== undefined) {
    const length = end + HEAD_END.length + Number(declared);
    return buffer.length >= length ? length : undefined;
  }
  const last = buffer.indexOf(LAST_CHUNK, end);
  return last === -1 ? undefined : last + LAST_CHUNK.length;
}

/** Calls `onAnswer` for each whole answer on the socket; rejects when the socket ends before `until`. */
async function eachAnswer(
  socket: Socket,
  onAnswer: () => boolean,
  onBytes?: (buffer: Buffer) => void,
): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    let pending: Buffer | undefined;
    socket.on("error", reject);
    socket.on("close", () => reject(new Error("the server closed a connection under load")));
    socket.on("data", (chunk: Buffer) => {
      const buffer = pending === undefined ? chunk : Buffer.concat([pending, chunk]);
      onBytes?.(buffer);
      let length: number | undefined;
      try {
        length = answerLength(buffer);
      } catch (error) {
        reject(error);
        return;
      }
      if (length === undefined) {
        pending = buffer;
        return;
      }
      pending = undefined;
      if (!onAnswer()) {
        resolve();
        socket.removeAllListeners("close").destroy();
      }
    });
  });
}

function summary(latenciesMs: number[], elapsedMs: number, count = latenciesMs.length): Result {
  const sorted = latenciesMs.toSorted((a, b) => a - b);
  const at = (share: number) => sorted[Math.floor(sorted.length * share)] ?? 0;
  return { count, elapsedMs, p50Ms: at(0.5), p99Ms: at(0.99) };
}

async function requests(target: Target, connections: number, forMs: number): Promise<Result> {
  const request = head(target, "GET /");
  const sockets = await Promise.all(
    Array.from({ length: connections }, async () => await dial(target)),
  );
  const latencies: number[] = [];
  const began = performance.now();
  await Promise.all(
    sockets.map(async (socket) => {
      let sent = performance.now();
      const answered = eachAnswer(socket, () => {
        const now = performance.now();
        latencies.push(now - sent);
        if (now - began >= forMs) return false;
        sent = now;
        socket.write(request);
        return true;
      });
      socket.write(request);
      await answered;
    }),
  );
  return summary(latencies, performance.now() - began);
}

async function firstChunks(target: Target, count: number): Promise<Result> {
  const request = head(target, "GET /stream");
  const socket = await dial(target);
  const latencies: number[] = [];
  const began = performance.now();
  let sent = performance.now();
  let seen = false;
  const answered = eachAnswer(
    socket,
    () => {
      if (latencies.length >= count) return false;
      seen = false;
      sent = performance.now();
      socket.write(request);
      return true;
    },
    (buffer) => {
      if (seen || !buffer.includes("data: first")) return;
      seen = true;
      latencies.push(performance.now() - sent);
    },
  );
  socket.write(request);
  await answered;
  return summary(latencies, performance.now() - began);
}

async function download(target: Target, bytes: number): Promise<Result> {
  const socket = await dial(target);
  const began = performance.now();
  let left: number | undefined;
  await new Promise<void>((resolve, reject) => {
    socket.on("error", reject);
    socket.on("close", () => reject(new Error("the download was cut")));
    socket.on("data", (chunk: Buffer) => {
      // The head is one packet on every server here; its own length is what it adds.
      left ??= bytes + chunk.indexOf(HEAD_END) + HEAD_END.length;
      left -= chunk.length;
      if (left <= 0) resolve();
    });
    socket.write(head(target, `GET /bulk?${bytes}`));
  });
  const elapsedMs = performance.now() - began;
  socket.removeAllListeners("close").destroy();
  return summary([], elapsedMs, bytes);
}

async function upload(target: Target, bytes: number): Promise<Result> {
  const socket = await dial(target);
  const began = performance.now();
  const answered = eachAnswer(socket, () => false);
  socket.write(head(target, "POST /sink", `Content-Length: ${bytes}\r\n`));
  let left = bytes;
  const fill = () => {
    while (left > 0) {
      const block = UPLOAD_BLOCK.subarray(0, Math.min(left, UPLOAD_BLOCK.length));
      left -= block.length;
      if (!socket.write(block)) {
        socket.once("drain", fill);
        return;
      }
    }
  };
  fill();
  await answered;
  return summary([], performance.now() - began, bytes);
}

async function websockets(target: Target, connections: number, forMs: number): Promise<Result> {
  const handshake = head(
    target,
    "GET /ws",
    "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n" +
      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
  );
  // A masked text frame whose mask is zero, and the bytes of its echo.
  const frame = Buffer.alloc(6 + WEBSOCKET_PAYLOAD_BYTES, "x");
  frame.set([0x81, 0x80 | WEBSOCKET_PAYLOAD_BYTES, 0, 0, 0, 0]);
  const echoBytes = 2 + WEBSOCKET_PAYLOAD_BYTES;
  const sockets = await Promise.all(
    Array.from({ length: connections }, async () => {
      const socket = await dial(target);
      await new Promise<void>((resolve, reject) => {
        socket.once("error", reject);
        socket.once("data", (chunk) => {
          if (chunk.toString("latin1", 0, 12) === "HTTP/1.1 101") resolve();
          else reject(new Error(`no WebSocket: ${chunk.toString("latin1")}`));
        });
        socket.write(handshake);
      });
      return socket;
    }),
  );
  const latencies: number[] = [];
  const began = performance.now();
  await Promise.all(
    sockets.map(
      async (socket) =>
        await new Promise<void>((resolve, reject) => {
          let sent = performance.now();
          let received = 0;
          socket.on("error", reject);
          socket.on("close", () => reject(new Error("a WebSocket was closed under load")));
          socket.on("data", (chunk: Buffer) => {
            received += chunk.length;
            if (received < echoBytes) return;
            received -= echoBytes;
            const now = performance.now();
            latencies.push(now - sent);
            if (now - began >= forMs) {
              socket.removeAllListeners("close").destroy();
              resolve();
              return;
            }
            sent = now;
            socket.write(frame);
          });
          socket.write(frame);
        }),
    ),
  );
  return summary(latencies, performance.now() - began);
}

async function run(job: Job): Promise<Result> {
  switch (job.kind) {
    case "requests":
      return await requests(job.target, job.connections, job.forMs);
    case "first chunk":
      return await firstChunks(job.target, job.count);
    case "download":
      return await download(job.target, job.bytes);
    case "upload":
      return await upload(job.target, job.bytes);
    case "websocket":
      return await websockets(job.target, job.connections, job.forMs);
    default:
      throw new Error(`unknown job ${JSON.stringify(job satisfies never)}`);
  }
}

process.on("message", (job: Job) => {
  run(job).then(
    (result) => process.send?.({ result }),
    (error: unknown) => process.send?.({ error: String(error) }),
  );
});
