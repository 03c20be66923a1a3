/**
 * The client's address. On Cloudflare the edge names it in CF-Connecting-IP. Self-hosted, connections come from the
 * TCP front, which announces each connection's client before its first request. workerd's `cf.clientIp`, "ip:port",
 * names the connection, and no header can forge it. Without a front, `cf.clientIp` is the client's own address.
 */
import type { Env } from "../../contracts/env.ts";

/** Announcements that an isolate remembers; then it forgets the oldest. The front holds fewer connections. */
const MAX_CONNECTIONS = 65_536;

const announced = new Map<string, string>();

/** Handles the front's announcement of a connection. A request without this process's secret gets 404. */
export function announceConnection(request: Request, env: Env): Response {
  const connection = connectionOf(request);
  const address = request.headers.get("postern-client-address");
  const secret = request.headers.get("postern-front-secret");
  const expected = env.POSTERN_FRONT_SECRET;
  if (connection === undefined || address === null || !expected || secret !== expected) {
    return new Response(null, { status: 404 });
  }
  announced.delete(connection);
  announced.set(connection, address);
  if (announced.size > MAX_CONNECTIONS) {
    for (const oldest of announced.keys()) {
      announced.delete(oldest);
      break;
    }
  }
  return new Response(null, { status: 204 });
}

/** The client's address. */
export function clientAddress(request: Request, env: Env): string {
  const connection = connectionOf(request);
  if (connection === undefined) return request.headers.get("cf-connecting-ip") ?? "unknown";
  if (env.POSTERN_FRONT_SECRET) {
    const address = announced.get(connection);
    if (address !== undefined) return address;
  }
  const address = connection.slice(0, connection.lastIndexOf(":"));
  return address.startsWith("[") ? address.slice(1, -1) : address;
}

function connectionOf(request: Request): string | undefined {
  const clientIp = (request.cf as { clientIp?: unknown } | undefined)?.clientIp;
  return typeof clientIp === "string" ? clientIp : undefined;
}
