/**
 * Finds a server that listens, and not where it was told to: mostly one that reads no PORT. That is a hint and no
 * failure, since some programs open other ports before the one that serves. Finds ports that are open to the network, too.
 */
import { SECOND_MS } from "../../base/units.ts";
import { groupMembers, listeners } from "./linux-processes.ts";

/** A server that only takes a moment longer is not suspected. */
export const SUSPECTED_AFTER_MS = 5 * SECOND_MS;

/** From readiness on. */
export const OPEN_PORTS_AFTER_MS = SECOND_MS;

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
 * Where it listens beyond the loopback interface, in words; empty where nowhere. Reads much of /proc.
 * @param leader of its process group
 */
export function openPorts(leader: number | undefined): string {
  if (leader === undefined) return "";
  const open = listeners(groupMembers(leader)).filter(({ loopback }) => !loopback);
  return open.map(({ address, port }) => `${address}:${port}`).join(", ");
}
