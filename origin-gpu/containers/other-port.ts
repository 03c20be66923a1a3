/**
 * Finds a server that listens, and not where it was told to: mostly one that reads no PORT. That is a hint and no
 * failure, since some programs open other ports before the one that serves. Finds ports that are open to the network, too.
 */
import { SECOND_MS } from "../../base/units.ts";
import { groupMembers, listeners } from "./linux-processes.ts";

/** A server that only takes a moment longer is not suspected. */
export const SUSPECTED_AFTER_MS = 5 * SECOND_MS;

/** From readiness on. */
const OPEN_PORTS_AFTER_MS = SECOND_MS;

/**
 * Reads much of /proc.
 * @param leader of its process group
 * @returns words for the operator; undefined where it listens nowhere, or on its port too
 */
export function listensElsewhere(leader: number | undefined, port: number): string | undefined {
  if (leader === undefined) return undefined;
  const found = listeners(groupMembers(leader));
  if (found.length === 0 || found.some((listener) => listener.port === port)) return undefined;
  const ports = found.map((listener) => `${listener.address}:${listener.port}`).join(", ");
  return `it listens on ${ports}, and not on the port that it was given, ${port}; is that in its command, as $PORT?`;
}

/**
 * Warns of ports that are open to the network, a second from now: it reads much of /proc, and the requests that waited for
 * the container are answered first.
 * @param leader of its process group
 * @param exited when it settles, nothing is said any more
 */
export function warnOfOpenPorts(
  leader: number | undefined,
  exited: Promise<unknown>,
  notice: (text: string) => void,
): void {
  if (leader === undefined) return;
  const look = setTimeout(() => {
    const open = listeners(groupMembers(leader)).filter(({ loopback }) => !loopback);
    if (open.length === 0) return;
    const ports = open.map(({ address, port }) => `${address}:${port}`).join(", ");
    notice(
      `postern: warning: it listens on ${ports}, open to the network past every lock; let it listen on 127.0.0.1`,
    );
  }, OPEN_PORTS_AFTER_MS);
  look.unref();
  void exited.then(() => clearTimeout(look));
}
