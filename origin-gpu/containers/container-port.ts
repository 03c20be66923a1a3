/** The port that a container is told to listen on, and the origins where it may do so. */
import { allocatePort, type FreePort, freePort, releasePort, reservePort } from "./ports.ts";

export interface ContainerPort {
  readonly port: number;
  /** Scheme, host, port. Where another program listens before the container's start, its answers would be taken for the container's. */
  readonly origins: readonly string[];
}

/**
 * @param fixed the endpoint's own; without one it is any that is free, until `exited`
 * @returns undefined where another program has the fixed one
 */
export async function choosePort(
  fixed: number | undefined,
  exited: Promise<unknown>,
): Promise<ContainerPort | undefined> {
  const chosen = fixed === undefined ? await allocatePort() : await freePort(fixed);
  if (chosen === undefined) return undefined;
  if (fixed === undefined) void exited.then(() => releasePort(chosen.port));
  return { port: chosen.port, origins: originsOf(chosen) };
}

/** A container that runs already has this port, until `exited`. */
export function keepPort(port: number, exited: Promise<unknown>): void {
  reservePort(port);
  void exited.then(() => releasePort(port));
}

function originsOf({ port, hasIpv6 }: FreePort): string[] {
  const origin = `http://127.0.0.1:${port}`;
  return hasIpv6 ? [origin, `http://[::1]:${port}`] : [origin];
}
