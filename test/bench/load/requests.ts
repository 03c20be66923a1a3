/** Single requests: as many as the connections allow, with one in flight on each, or one after the other. */
import type { Address } from "../../support/http-client.ts";
import { dial, dialMany, eachAnswer, head } from "./connection.ts";
import { type LoadResult, type ServerPids, UsageWindow } from "./usage.ts";

async function eachRequest(
  target: Address,
  pids: ServerPids,
  path: string,
  { connections, forMs }: { readonly connections: number; readonly forMs: number },
  latencyOf: (tookMs: number, body: Buffer) => number,
): Promise<LoadResult> {
  const request = head(target, `GET ${path}`);
  const sockets = await dialMany(target, connections);
  const latenciesMs: number[] = [];
  const window = new UsageWindow(pids);
  await Promise.all(
    sockets.map(async (socket) => {
      let sentMs = performance.now();
      const answered = eachAnswer(socket, (body) => {
        const nowMs = performance.now();
        latenciesMs.push(latencyOf(nowMs - sentMs, body));
        if (nowMs - window.beganMs >= forMs) return false;
        sentMs = nowMs;
        socket.write(request);
        return true;
      });
      socket.write(request);
      await answered;
    }),
  );
  return window.result(latenciesMs);
}

/** The latency is the whole time to the answer's last byte. */
export async function requests(
  target: Address,
  pids: ServerPids,
  load: { readonly connections: number; readonly forMs: number },
): Promise<LoadResult> {
  return await eachRequest(target, pids, "/", load, (tookMs) => tookMs);
}

/** The latency is what is left of it without the time that the app says it waited. */
export async function waits(
  target: Address,
  pids: ServerPids,
  load: { readonly connections: number; readonly forMs: number; readonly waitMs: number },
): Promise<LoadResult> {
  return await eachRequest(target, pids, `/wait?${load.waitMs}`, load, (tookMs, body) => {
    // The body may be chunked: the app's number is what in it has a point.
    const waitedMs = Number(/\d+\.\d+/.exec(body.toString("latin1"))?.[0]);
    if (Number.isNaN(waitedMs)) throw new Error(`no time in ${body.toString("latin1")}`);
    return tookMs - waitedMs;
  });
}

/** The latency is the time to the first event of a short stream. */
export async function firstChunks(
  target: Address,
  pids: ServerPids,
  { count }: { readonly count: number },
): Promise<LoadResult> {
  const request = head(target, "GET /stream");
  const socket = await dial(target);
  const latenciesMs: number[] = [];
  const window = new UsageWindow(pids);
  let sentMs = performance.now();
  let seen = false;
  const answered = eachAnswer(
    socket,
    () => {
      if (latenciesMs.length >= count) return false;
      seen = false;
      sentMs = performance.now();
      socket.write(request);
      return true;
    },
    (buffer) => {
      if (seen || !buffer.includes("data: first")) return;
      seen = true;
      latenciesMs.push(performance.now() - sentMs);
    },
  );
  socket.write(request);
  await answered;
  return window.result(latenciesMs);
}
