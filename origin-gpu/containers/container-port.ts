/** The port that a container is told to listen on, and the origins where it may do so. */
import { allocatePort, isPortFree, releasePort, reservePort } from "./ports.ts";
import { acceptsConnections } from "./readiness.ts";

/**
 * @param fixed the endpoint's own; without one it is any that is free, until `exited`
 * @returns undefined where another program has the fixed one
 */
export async function choosePort(
  fixed: number | undefined,
  exited: Promise<unknown>,
): Promise<number | undefined> {
  if (fixed !== undefined) return (await isPortFree(fixed)) ? fixed : undefined;
  const port = await allocatePort();
  void exited.then(() => releasePort(port));
  return port;
}

/** A container that runs already has this port, until `exited`. */
export function keepPort(port: number, exited: Promise<unknown>): void {
  reservePort(port);
  void exited.then(() => releasePort(port));
}

/** One that accepts connections before the container's start is another program's. */
export async function freeOrigins(port: number, signal: AbortSignal): Promise<string[]> {
  const origins = [`http://127.0.0.1:${port}`, `http://[::1]:${port}`];
  const taken = await Promise.all(
    origins.map(async (origin) => await acceptsConnections(origin, signal)),
  );
  return origins.filter((_, index) => taken[index] === false);
}
