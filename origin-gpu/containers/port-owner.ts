/**
 * Decides whether a port that a container was told is another program's by now. A socket is another program's only where
 * something proves it, and never where /proc says too little.
 *
 * The supervisor keeps all processes of a container below itself. So a process elsewhere is another program, with three
 * exceptions:
 * - One with the container's id in its environment. A build daemon runs such a process for its client.
 * - One of a container engine, such as the proxy of `docker run -p`. The command is the engine's client, and ends it.
 * - Each one that started after the container, where the endpoint has a `stop_command`. Without a `stop_command` nothing
 *   would end a server that the command has asked systemd for, and its port would stay taken.
 *
 * This tells accidents. A hostile program of the app's own user needs no port: it can read the app's files, and end it.
 */
import type { ContainerOptions } from "./container.ts";
import { MARK } from "./container-run.ts";
import {
  ancestry,
  groupMembers,
  listeningSockets,
  type ListeningSocket,
  nameOf,
  pidNamespaceOf,
  processes,
  socketsOf,
  startedAt,
  variableOf,
} from "./linux-processes.ts";

interface ContainerProcesses {
  /** The first one, which is the number of their group. */
  readonly leader: number;
  /** The process below which all of them stay; undefined where they may leave. */
  readonly supervisor: number | undefined;
  /** The container's, in their environment. */
  readonly id: string;
  /** Their user. */
  readonly uid: number;
  /** A `stop_command` ends a server that the command has started elsewhere. */
  readonly hasStopCommand: boolean;
}

const ROOT = 0;

/** Daemons that listen themselves for a container of theirs, however long they have run: rootless Docker does so. */
const LISTENING_DAEMONS: ReadonlySet<string> = new Set([
  "dockerd",
  "rootlesskit",
  "slirp4netns",
  "pasta",
  "pasta.avx2",
]);

/** Programs that start what listens for a container of theirs. Linux cuts names to 15 characters. */
const ENGINES: ReadonlySet<string> = new Set([
  ...LISTENING_DAEMONS,
  "containerd-shim",
  "docker-proxy",
  "podman",
  "conmon",
  "rootlessport",
]);

/** Whose a socket is. `unclaimed`: no process of the container has it, and nothing says that one asked for it. */
type Owner = "container" | "unclaimed" | "another";

/**
 * Says why connections to an origin do not reach a server of the container, in words for the operator; undefined where
 * nothing proves that.
 * @param container its first process may not be known
 */
export function ownerProblem(
  origin: string,
  container: Pick<ContainerOptions, "endpoint" | "user"> &
    Pick<ContainerProcesses, "id" | "supervisor"> & { readonly leader: number | undefined },
): string | undefined {
  const { id, leader, supervisor, user, endpoint } = container;
  if (leader === undefined) return undefined;
  const { hostname: host, port } = new URL(origin);
  const uid = user?.uid ?? process.geteuid?.() ?? 0;
  const hasStopCommand = endpoint.stopCommand.length > 0;
  const own = { id, leader, supervisor, uid, hasStopCommand };
  switch (ownerOf({ host, port: Number(port) }, own)) {
    case "container":
      return undefined;
    case "another":
      return `another program listens at ${origin}`;
    case "unclaimed":
      return `another program listens at ${origin}, and no process of the container; a server that its command starts elsewhere needs a stop_command`;
  }
}

/**
 * Whose server takes connections to this address.
 * @param host `127.0.0.1` or `[::1]`
 */
function ownerOf(
  { host, port }: { readonly host: string; readonly port: number },
  container: ContainerProcesses,
): Owner {
  const taking = takers(host, port);
  // In this order, since it costs a look at one process, at all processes, and at all of their sockets.
  const foreign = without(taking, [container.leader]);
  if (foreign.length === 0) return "container";
  const left = without(foreign, groupMembers(container.leader));
  const owners = left.map((socket) => socketOwner(socket, container));
  return owners.find((owner) => owner !== "container") ?? "container";
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

function socketOwner({ inode, uid }: ListeningSocket, container: ContainerProcesses): Owner {
  const holders = processes().filter((pid) => socketsOf(pid).includes(inode));
  const containers = holders.map((pid) => variableOf(pid, MARK));
  if (containers.includes(container.id)) return "container";
  if (holders.some((pid) => isBelow(pid, container.supervisor))) return "container";
  if (![ROOT, container.uid].includes(uid)) return "another";
  if (containers.some((id) => id !== undefined)) return "another";
  const owners = new Set(holders.map((pid) => strangerOwner(pid, container)));
  if (owners.size === 0 || owners.has("container")) return "container";
  return owners.has("unclaimed") ? "unclaimed" : "another";
}

function isBelow(pid: number, supervisor: number | undefined): boolean {
  return supervisor !== undefined && ancestry(pid).includes(supervisor);
}

/** Whose server a process is that is none of the container's. */
function strangerOwner(
  pid: number,
  { leader, supervisor, hasStopCommand }: ContainerProcesses,
): Owner {
  if (startedAt(pid) < startedAt(leader)) {
    return LISTENING_DAEMONS.has(nameOf(pid)) ? "container" : "another";
  }
  if (hasStopCommand || supervisor === undefined || isOfEngine(pid)) return "container";
  return "unclaimed";
}

/** Whether a container engine has started it, or may have: processes of other namespaces have their parents there. */
function isOfEngine(pid: number): boolean {
  if (pidNamespaceOf(pid) !== pidNamespaceOf("self")) return true;
  return ancestry(pid).some((ancestor) => ENGINES.has(nameOf(ancestor)));
}
