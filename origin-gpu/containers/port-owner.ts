/**
 * Decides whether a port that a container was told is another program's by now. A server need not be a process of the
 * container: `docker run -p` has a proxy of its own that listens. So a socket is another program's only where something
 * proves it, and never where /proc says too little.
 */
import type { AppUser } from "../app-user.ts";
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
function isAnothersPort(
  { host, port }: { readonly host: string; readonly port: number },
  container: ContainerProcesses,
): boolean {
  const taking = takers(host, port);
  // In this order, since it costs a look at one process, at all processes, and at all of their sockets.
  const foreign = without(taking, [container.leader]);
  if (foreign.length === 0) return false;
  const left = without(foreign, groupMembers(container.leader));
  return left.some((socket) => isStrangers(socket, container));
}

/** The same for an origin, and for a container whose first process may not be known. */
export function isAnothersOrigin(
  origin: string,
  {
    leader,
    user,
    ...marked
  }: Pick<ContainerProcesses, "variable" | "id"> & {
    readonly leader: number | undefined;
    readonly user: AppUser | undefined;
  },
): boolean {
  if (leader === undefined) return false;
  const { hostname: host, port } = new URL(origin);
  const uid = user?.uid ?? process.geteuid?.() ?? 0;
  return isAnothersPort({ host, port: Number(port) }, { ...marked, leader, uid });
}

/** Those that none of these processes has. */
function without(sockets: readonly ListeningSocket[], pids: readonly number[]): ListeningSocket[] {
  const own = new Set(pids.flatMap(socketsOf));
  return sockets.filter(({ inode }) => !own.has(inode));
}

/** Where such connections may go, the most specific address first, and the kernel's table that has it. */
const PLACES = {
  "127.0.0.1": [
    { table: "tcp", address: "127.0.0.1" },
    { table: "tcp6", address: "127.0.0.1" },
    { table: "tcp", address: "0.0.0.0" },
    { table: "tcp6", address: "[::]" },
  ],
  "[::1]": [
    { table: "tcp6", address: "[::1]" },
    { table: "tcp6", address: "[::]" },
  ],
} as const;

/** The sockets that the kernel gives such connections to. */
function takers(host: string, port: number): ListeningSocket[] {
  const tables = new Map<string, ListeningSocket[]>();
  for (const { table, address } of PLACES[host === "[::1]" ? host : "127.0.0.1"]) {
    const sockets = tables.get(table) ?? listeningSockets("self", [table]);
    tables.set(table, sockets);
    const found = sockets.filter((socket) => socket.port === port && socket.address === address);
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
