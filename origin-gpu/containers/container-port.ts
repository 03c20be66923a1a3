/** The ports that a container is told to listen on, and the origins where it may do so. */
import { allocatePort, type FreePort, freePort, releasePort, reservePort } from "./ports.ts";

export interface ContainerPort {
  readonly port: number;
  /** Scheme, host, port. Where another program listens before the container's start, its answers would be taken for the container's. */
  readonly origins: readonly string[];
  /** Another one for calls with pickles (`hasCallsPort`). */
  readonly callsPort?: number | undefined;
}

/** Where a container takes calls with pickles, beside its web server. */
export function callsOriginOf(callsPort: number | undefined): { readonly callsOrigin?: string } {
  return callsPort === undefined ? {} : { callsOrigin: `http://127.0.0.1:${callsPort}` };
}

/**
 * @param fixed the endpoint's own; without one it is any that is free, until `exited`
 * @param withCalls it needs one more, for calls
 * @returns undefined where another program has the fixed one
 */
export async function choosePorts(
  fixed: number | undefined,
  withCalls: boolean,
  exited: Promise<unknown>,
): Promise<ContainerPort | undefined> {
  const allocated = async (): Promise<FreePort> => {
    const free = await allocatePort();
    void exited.then(() => releasePort(free.port));
    return free;
  };
  const chosen = fixed === undefined ? await allocated() : await freePort(fixed);
  if (chosen === undefined) return undefined;
  const callsPort = withCalls ? (await allocated()).port : undefined;
  return { port: chosen.port, origins: originsOf(chosen), callsPort };
}

/** A container that runs already has these ports, until `exited`. */
export function keepPorts(ports: readonly (number | undefined)[], exited: Promise<unknown>): void {
  for (const port of ports) {
    if (port === undefined) continue;
    reservePort(port);
    void exited.then(() => releasePort(port));
  }
}

function originsOf({ port, hasIpv6 }: FreePort): string[] {
  const origin = `http://127.0.0.1:${port}`;
  return hasIpv6 ? [origin, `http://[::1]:${port}`] : [origin];
}
