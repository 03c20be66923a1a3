/**
 * The thin TCP front before a self-hosted workerd (docs/architecture.md, "The hazard of self-hosting"). It
 *
 * - holds the listening socket while workerd restarts;
 * - tells the Worker each client's address;
 * - resets the connection to workerd when its client has left;
 * - reads on while an upload goes on whose response has begun, so that the client gets the response;
 * - replaces workerd's own bare responses;
 * - bounds the number of connections, and keeps places for boxes.
 *
 * The front parses no HTTP, but for a box's credential where all other places are taken, and changes no other byte.
 * Cloudflare needs no front.
 */

import { createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { descriptorOf } from "../../base/node/server-descriptor.ts";
import { unmappedAddress } from "../../routing/connection-name.ts";
import { announcement } from "./announcement.ts";
import { boxCredentialIn } from "./box-request.ts";
import { FrontConnection } from "./connection.ts";
import { Places } from "./places.ts";

/** Closes a connection that has sent nothing for this long, as workerd would. */
const FIRST_BYTE_TIMEOUT_MS = 15_000;
const SWEEP_INTERVAL_MS = 1_000;

/** TCP asks after a silent peer after this time, and so notices one that vanished without a FIN. */
const TCP_KEEPALIVE_MS = 30_000;

/** Connections that the kernel accepts while this process is busy. It cuts the number to its own limit. */
const LISTEN_BACKLOG = 4096;

export interface FrontOptions {
  readonly host: string;
  /** 0 lets the system choose. */
  readonly port: number;
  /** Called with the descriptor of the socket that listens, before it accepts: connections inherit its options. */
  readonly onSocket?: (fd: number) => void;
  /** The Host of the announcement, from the port that was chosen. */
  readonly baseDomain: (port: number) => string;
  /** This process and its workerd alone know it. */
  readonly secret: string;
  /** The port of 127.0.0.1 on which workerd listens. The promise is pending while workerd is down. */
  readonly upstreamPort: () => Promise<number>;
  /** Connections served at a time; more get a 503. */
  readonly maxConnections: number;
  /** Whether an address stands for many clients, and may take more than one client's share of the connections. */
  readonly isProxy: (address: string) => boolean;
  /** Whether this is the credential of a box, which gets one of the last places. */
  readonly isBoxCredential: (credential: string) => Promise<boolean>;
  readonly log: (line: string) => void;
}

export interface Front {
  readonly port: number;
  /** The number of connected clients. */
  connections(): number;
  /**
   * Stops accepting, and closes the connections that have sent nothing. Resolves when the last client has gone.
   * Links of boxes stay open, since they carry responses.
   */
  close(): Promise<void>;
  /** Breaks every connection. */
  reset(): void;
}

/** Listens. @throws the system's error, such as `EADDRINUSE` or `EACCES` */
export async function startFront(options: FrontOptions): Promise<Front> {
  const open = new Set<FrontConnection>();
  /** Connections that have sent nothing, with the time at which they are closed; oldest first. */
  const silent = new Map<FrontConnection, number>();
  const places = new Places({ max: options.maxConnections, isProxy: options.isProxy });
  let closing = false;
  const clientsGone = Promise.withResolvers<void>();
  const resolveIfClientsGone = (): void => {
    for (const connection of open) if (!connection.isBox) return;
    clientsGone.resolve();
  };

  const server = createServer({
    allowHalfOpen: true,
    noDelay: true,
    keepAlive: true,
    keepAliveInitialDelay: TCP_KEEPALIVE_MS,
  });

  const port = await listen(server, options);
  const baseDomain = options.baseDomain(port);

  server.on("connection", (client: Socket) => {
    const address = unmappedAddress(client.remoteAddress ?? "");
    const isServed = !closing && address !== "";
    const place = isServed ? places.client(address) : undefined;
    let release = place ?? (isServed ? places.refusal(address) : undefined);
    if (release === undefined) {
      client.resetAndDestroy();
      return;
    }
    const connection = new FrontConnection(client, {
      announcement: announcement(baseDomain, options.secret, address),
      upstreamPort: options.upstreamPort,
      ...(place === undefined && {
        admit: async (first) => {
          const credential = boxCredentialIn(first);
          if (credential === undefined || !(await options.isBoxCredential(credential)))
            return false;
          const boxPlace = client.destroyed ? undefined : places.box(address);
          if (boxPlace === undefined) return false;
          release?.();
          release = boxPlace;
          return true;
        },
      }),
      onSpoken: (spoken) => silent.delete(spoken),
      onClosed: (closed) => {
        open.delete(closed);
        silent.delete(closed);
        release?.();
        release = undefined;
        if (closing) resolveIfClientsGone();
      },
      log: options.log,
    });
    open.add(connection);
    if (place !== undefined) silent.set(connection, performance.now() + FIRST_BYTE_TIMEOUT_MS);
  });

  const sweep = setInterval(() => {
    const now = performance.now();
    for (const [connection, deadline] of silent) {
      if (deadline > now) break;
      connection.close();
    }
  }, SWEEP_INTERVAL_MS);

  return {
    port,
    connections: () => open.size,
    reset() {
      for (const connection of open) connection.reset();
    },
    async close() {
      closing = true;
      clearInterval(sweep);
      server.close();
      for (const connection of silent.keys()) connection.close();
      resolveIfClientsGone();
      return clientsGone.promise;
    },
  };
}

async function listen(server: Server, { host, port, onSocket }: FrontOptions): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once("error", reject);
  server.listen({ host, port, backlog: LISTEN_BACKLOG }, () => {
    onSocket?.(descriptorOf(server));
    resolve();
  });
  await promise;
  server.off("error", reject);
  return (server.address() as AddressInfo).port;
}
