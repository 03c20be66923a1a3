/**
 * The client's address and scheme. On Cloudflare the edge names the address in CF-Connecting-IP. Self-hosted,
 * connections come from the TCP front, which announces each connection's client before its first request. workerd's
 * `cf.clientIp`, "ip:port", names the connection, and no header can forge it. Without a front, `cf.clientIp` is the
 * client's own address. Where that is one of POSTERN_TRUSTED_PROXIES, its headers name the client.
 */
import { unmappedAddress } from "../../../routing/connection-name.ts";
import { publicScheme } from "../../../routing/names.ts";
import {
  isTrusted,
  parseTrustedProxies,
  proxiedClient,
  type ProxiedClient,
  type TrustedProxies,
} from "../../../routing/trusted-proxies.ts";
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

/** A client as the gateway knows it. */
interface Client extends Required<ProxiedClient> {
  /** A trusted proxy named the address, so it is the client's own and not a proxy's. */
  readonly isNamedByProxy: boolean;
}

/** The client as the app may believe in it. */
export function clientOf(request: Request, env: Env): Client {
  const scheme = publicScheme(env.POSTERN_BASE_DOMAIN);
  const address = peerAddress(request, env);
  const proxies = env.POSTERN_TRUSTED_PROXIES;
  if (!proxies) return { address, scheme, isNamedByProxy: false };
  const client = proxiedClient(trustedProxies(proxies), address, {
    addresses: request.headers.get("x-forwarded-for"),
    schemes: request.headers.get("x-forwarded-proto"),
    forwarded: request.headers.get("forwarded"),
  });
  return { scheme, ...client, isNamedByProxy: client.address !== address };
}

/** Whether many clients share this address: programs of this machine, or the clients of a trusted proxy. */
export function isShared(address: string, env: Env): boolean {
  if (address === "::1" || address.startsWith("127.")) return true;
  const proxies = env.POSTERN_TRUSTED_PROXIES;
  return proxies !== undefined && isTrusted(trustedProxies(proxies), address);
}

/** The client's address; undefined where many clients share it. */
export function ownAddressOf(request: Request, env: Env): string | undefined {
  const { address } = clientOf(request, env);
  return isShared(address, env) ? undefined : address;
}

let parsed: { text: string; proxies: TrustedProxies } | undefined;

/** The variable has been checked at the start (cli/gateway/settings.ts); a part that can't be read trusts nobody. */
function trustedProxies(text: string): TrustedProxies {
  if (parsed?.text !== text) {
    const result = parseTrustedProxies(text);
    parsed = { text, proxies: result.ok ? result.value : [] };
  }
  return parsed.proxies;
}

/** The address at the other end of the client's connection. */
function peerAddress(request: Request, env: Env): string {
  const connection = connectionOf(request);
  if (connection === undefined) return request.headers.get("cf-connecting-ip") ?? "unknown";
  if (env.POSTERN_FRONT_SECRET) {
    const address = announced.get(connection);
    if (address !== undefined) return address;
  }
  return unmappedAddress(connection.slice(0, connection.lastIndexOf(":")).replace(/^\[|\]$/g, ""));
}

/** Whether a connection came to workerd without the front that stands before it. */
export function isPastFront(request: Request, env: Env): boolean {
  const connection = connectionOf(request);
  return Boolean(env.POSTERN_FRONT_SECRET) && !announced.has(connection ?? "");
}

/** workerd's name of the client's connection, such as `192.0.2.1:443`; undefined on other platforms. */
export function connectionOf(request: Request): string | undefined {
  const clientIp = (request.cf as { clientIp?: unknown } | undefined)?.clientIp;
  return typeof clientIp === "string" ? clientIp : undefined;
}
