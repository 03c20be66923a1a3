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

/** Errors of `listen` that are about the port: somebody has it, or the system keeps it. */
const OF_THE_PORT: ReadonlySet<string | undefined> = new Set(["EADDRINUSE", "EACCES"]);

const taken = new Set<number>();

/** Allocates a port on which no program listens; rejects when it finds none. Give it back by `releasePort`. */
export async function allocatePort(): Promise<number> {
  for (let tries = 0; tries < MAX_TRIES; tries++) {
    const port = randomInt(FIRST_PORT, PAST_LAST_PORT);
    if (taken.has(port)) continue;
    taken.add(port);
    let isFree = false;
    try {
      isFree = await isPortFree(port);
    } finally {
      if (!isFree) taken.delete(port);
    }
    if (isFree) return port;
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
 * Whether a server could listen on this port of the loopback interface now.
 * @throws the system's error where it says nothing about the port: no descriptor is left
 */
export async function isPortFree(port: number): Promise<boolean> {
  return await new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", (error: NodeJS.ErrnoException) => {
      if (OF_THE_PORT.has(error.code)) resolve(false);
      else reject(error);
    });
    server.listen({ port, host: "127.0.0.1", exclusive: true }, () =>
      server.close(() => resolve(true)),
    );
  });
}
