/**
 * Decides whether a port that a container was told is another program's by now. A server need not be a process of the
 * container: `docker run -p` has a proxy of its own that listens. So a socket is another program's only where something
 * proves it, and never where /proc says too little.
 */
import {
  groupMembers,
  listeningSockets,
  type ListeningSocket,
  nameOf,
  processes,
  socketsOf,
  startedAt,
  variableOf,
} from "./linux-processes.ts";

export interface ContainerProcesses {
  /** The first one, which is the number of their group. */
  readonly leader: number;
  /** The container's id in this variable of their environment. */
  readonly variable: string;
  readonly id: string;
  /** Their user. */
  readonly uid: number;
}

const ROOT = 0;

/** Daemons that listen themselves for a container of theirs, however long they have run: rootless Docker does so. */
const CONTAINER_DAEMONS: ReadonlySet<string> = new Set([
  "dockerd",
  "rootlesskit",
  "slirp4netns",
  "pasta",
  "pasta.avx2",
]);

/**
 * Whether connections to this address reach a program that the container did not bring: one of another user, one of
 * another container, or one that ran before the container did.
 * @param host `127.0.0.1` or `[::1]`
 */
export function isAnothersPort(
  { host, port }: { readonly host: string; readonly port: number },
  container: ContainerProcesses,
): boolean {
  const own = new Set(groupMembers(container.leader).flatMap(socketsOf));
  return takers(host, port).some(
    (socket) => !own.has(socket.inode) && isStrangers(socket, container),
  );
}

/** The sockets that the kernel gives such connections to: the most specific address that listens. */
function takers(host: string, port: number): ListeningSocket[] {
  const sockets = listeningSockets().filter((socket) => socket.port === port);
  const addresses = host === "127.0.0.1" ? [host, "0.0.0.0", "[::]"] : [host, "[::]"];
  for (const address of addresses) {
    const found = sockets.filter((socket) => socket.address === address);
    if (found.length > 0) return found;
  }
  return [];
}

function isStrangers({ inode, uid }: ListeningSocket, container: ContainerProcesses): boolean {
  const holders = processes().filter((pid) => socketsOf(pid).includes(inode));
  const containers = holders.map((pid) => variableOf(pid, container.variable));
  if (containers.includes(container.id)) return false;
  if (![ROOT, container.uid].includes(uid)) return true;
  if (containers.some((id) => id !== undefined)) return true;
  const begun = startedAt(container.leader);
  const isOlder = (pid: number) => startedAt(pid) < begun && !CONTAINER_DAEMONS.has(nameOf(pid));
  return holders.length > 0 && holders.every(isOlder);
}
