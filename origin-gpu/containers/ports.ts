/**
 * Allocates loopback ports for containers, and remembers each one until it is released. The ports are below the range
 * that the system uses for outgoing connections. So another program is unlikely to take one before the container
 * listens on it.
 */
import { randomInt } from "node:crypto";
import { createServer } from "node:net";

const FIRST_PORT = 20_000;
const PAST_LAST_PORT = 30_000;
const MAX_TRIES = 200;

/** Errors of `listen` that are about the port or its address: somebody has it, the system keeps it, or there is no IPv6. */
const OF_THE_PORT: ReadonlySet<string | undefined> = new Set([
  "EADDRINUSE",
  "EACCES",
  "EADDRNOTAVAIL",
  "EAFNOSUPPORT",
]);

/** A port of 127.0.0.1 on which no program listens. */
export interface FreePort {
  readonly port: number;
  /** The same is so for ::1. */
  readonly hasIpv6: boolean;
}

const taken = new Set<number>();

/** Allocates a port on which no program listens; rejects when it finds none. Give it back by `releasePort`. */
export async function allocatePort(): Promise<FreePort> {
  for (let tries = 0; tries < MAX_TRIES; tries++) {
    const port = randomInt(FIRST_PORT, PAST_LAST_PORT);
    if (taken.has(port)) continue;
    taken.add(port);
    let found: FreePort | undefined;
    try {
      found = await freePort(port);
    } finally {
      if (found === undefined) taken.delete(port);
    }
    if (found !== undefined) return found;
  }
  throw new Error(`no free port between ${FIRST_PORT} and ${PAST_LAST_PORT}`);
}

/** Somebody has the port already. */
export function reservePort(port: number): void {
  taken.add(port);
}

export function releasePort(port: number): void {
  taken.delete(port);
}

/**
 * The port, where a server could listen on it now; undefined where another one does.
 * @throws the system's error where it says nothing about the port: no descriptor is left
 */
export async function freePort(port: number): Promise<FreePort | undefined> {
  const [isFree, hasIpv6] = await Promise.all([
    mayListen(port, "127.0.0.1"),
    mayListen(port, "::1"),
  ]);
  return isFree ? { port, hasIpv6 } : undefined;
}

async function mayListen(port: number, host: string): Promise<boolean> {
  return await new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", (error: NodeJS.ErrnoException) => {
      if (OF_THE_PORT.has(error.code)) resolve(false);
      else reject(error);
    });
    server.listen({ port, host, exclusive: true }, () => server.close(() => resolve(true)));
  });
}
