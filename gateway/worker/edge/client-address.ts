/**
 * Who is calling. On Cloudflare the edge says it in CF-Connecting-IP. Self-hosted, connections come
 * from the TCP front, which announces each connection's client before its first request; the
 * connection is named by workerd's own `cf.clientIp`, "ip:port", which no header can forge. Without a
 * front that is the client's address itself.
 */
import type { Env } from "../../contracts/env.ts";

/** Beyond it the oldest announcement is forgotten; the front holds fewer connections than that. */
const MAX_CONNECTIONS = 65_536;

const announced = new Map<string, string>();

/** The front's announcement of a connection. Anything without this process's secret is a stranger's. */
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
