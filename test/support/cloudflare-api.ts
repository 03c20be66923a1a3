/**
 * Cloudflare's API of custom hostnames, as far as the gateway uses it, as a server on loopback: paths, envelopes and
 * states as its reference has them. A hostname is pending when it is made, and active when the test says so.
 */
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";

interface Ssl {
  readonly type: string;
  readonly method: string;
  readonly wildcard: boolean;
}

export interface CloudflareApi {
  /** The base URL. */
  readonly url: string;
  readonly zone: string;
  readonly token: string;
  /** What there is, by name: its state and what its certificate covers. */
  readonly hostnames: ReadonlyMap<string, { readonly ssl: Ssl; isActive: boolean }>;
  /** Requests so far, as `METHOD path`. */
  readonly asked: readonly string[];
  /** Answers all further requests with this status; undefined: as they are to be answered. */
  failWith(status: number | undefined): void;
  close(): void;
}

export async function startCloudflareApi(): Promise<CloudflareApi> {
  const zone = "023e105f4ecef8ad9ca31a8372d0c353";
  const token = "Sn3lZJTBX6kkg7OdcBUAxOO963GEIyGQqnFTOFYY";
  const hostnames = new Map<string, { id: string; ssl: Ssl; isActive: boolean }>();
  const asked: string[] = [];
  let failure: number | undefined;
  let made = 0;

  const shown = (hostname: string) => {
    const kept = hostnames.get(hostname);
    const state = kept?.isActive === true ? "active" : "pending";
    const ssl = { ...kept?.ssl, status: kept?.isActive === true ? "active" : "pending_validation" };
    return { id: kept?.id, hostname, status: state, ssl, created_at: "2026-01-01T00:00:00Z" };
  };
  const nameOf = (id: string) => [...hostnames.entries()].find(([, kept]) => kept.id === id)?.[0];

  const answer = async (request: IncomingMessage): Promise<readonly [number, unknown]> => {
    const { pathname, searchParams } = new URL(request.url ?? "", "http://api.invalid");
    asked.push(`${request.method} ${pathname}`);
    if (failure !== undefined) return [failure, refusal(10_000)];
    if (request.headers.authorization !== `Bearer ${token}`) return [403, refusal(9_109)];
    const [, of, id = ""] = /^\/zones\/(\w+)\/custom_hostnames(?:\/(\w+))?$/.exec(pathname) ?? [];
    if (of !== zone) return [404, refusal(7_003)];
    const body = await bodyOf(request);
    switch (request.method) {
      case "GET": {
        const wanted = searchParams.get("hostname") ?? "";
        // Its filter finds longer names too.
        const found = [...hostnames.keys()].filter((name) => name.includes(wanted));
        return [200, success(found.map(shown))];
      }
      case "POST": {
        const { hostname, ssl } = body as { hostname: string; ssl: Ssl };
        if (hostnames.has(hostname)) return [409, refusal(1_406)];
        made += 1;
        hostnames.set(hostname, { id: `id${made}`, ssl, isActive: false });
        return [201, success(shown(hostname))];
      }
      case "PATCH": {
        const name = nameOf(id);
        const kept = hostnames.get(name ?? "");
        if (name === undefined || kept === undefined) return [404, refusal(1_436)];
        hostnames.set(name, { ...kept, ssl: (body as { ssl: Ssl }).ssl });
        return [200, success(shown(name))];
      }
      case "DELETE":
        return hostnames.delete(nameOf(id) ?? "") ? [200, { id }] : [404, refusal(1_436)];
      default:
        return [405, refusal(10_405)];
    }
  };
  const server = createServer((request, response) => {
    void answer(request).then(([status, body]) => {
      response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
    });
  });
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    zone,
    token,
    hostnames,
    asked,
    failWith: (status) => void (failure = status),
    close() {
      server.closeAllConnections();
      server.close();
    },
  };
}

function success(result: unknown): object {
  return { success: true, errors: [], messages: [], result };
}

function refusal(code: number): object {
  return { success: false, errors: [{ code, message: "no" }], messages: [], result: null };
}

async function bodyOf(request: IncomingMessage): Promise<unknown> {
  let text = "";
  for await (const chunk of request) text += String(chunk);
  return text === "" ? undefined : (JSON.parse(text) as unknown);
}
