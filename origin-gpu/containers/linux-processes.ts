/**
 * Reads from /proc what the processes of a container are and where they listen. Elsewhere than on Linux, and where
 * /proc hides something, each answer is empty, and none is an error.
 */
import { closeSync, openSync, readFileSync, readdirSync, readlinkSync, readSync } from "node:fs";

/** Fields of /proc/PID/stat after the process's name, by proc_pid_stat(5). */
const STAT_PARENT = 1;
const STAT_GROUP = 2;
const STAT_STARTED = 19;

/** Processes of this group, its leader included. */
export function groupMembers(group: number): number[] {
  return processes().filter((pid) => Number(statOf(pid)[STAT_GROUP]) === group);
}

/** Processes below this one, wherever they have gone, without itself. */
export function descendantsOf(ancestor: number): number[] {
  const children = new Map<number, number[]>();
  for (const pid of processes()) {
    const parent = Number(statOf(pid)[STAT_PARENT]);
    const siblings = children.get(parent);
    if (siblings === undefined) children.set(parent, [pid]);
    else siblings.push(pid);
  }
  const below = new Set<number>();
  // A number may be given to another process meanwhile: each is visited once.
  const visit = (pid: number): void => {
    for (const child of children.get(pid) ?? []) {
      if (below.has(child)) continue;
      below.add(child);
      visit(child);
    }
  };
  visit(ancestor);
  return [...below];
}

/** The name of a process, up to 15 characters of it. */
export function nameOf(pid: number): string {
  return read(`/proc/${pid}/comm`).trim();
}

/** The parent of a process; undefined for none. */
export function parentOf(pid: number): number | undefined {
  const parent = Number(statOf(pid)[STAT_PARENT]);
  return Number.isNaN(parent) ? undefined : parent;
}

/** A process, its parent, and so on, as far as they can be seen from here. */
export function ancestry(pid: number): number[] {
  const line = new Set<number>();
  for (let next: number | undefined = pid; next && !line.has(next); next = parentOf(next)) {
    line.add(next);
  }
  return [...line];
}

/** Names the process numbers' space that a process is in; undefined where that can't be seen. */
export function pidNamespaceOf(pid: number | "self"): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/ns/pid`);
  } catch {
    return undefined;
  }
}

/** When a process started, to compare with others: clock ticks since the machine's start. NaN for none. */
export function startedAt(pid: number): number {
  return Number(statOf(pid)[STAT_STARTED]);
}

/** Processes that carry this variable in their environment, wherever they have gone since. */
export function processesWithVariable(name: string, value: string): number[] {
  return processes().filter((pid) => variableOf(pid, name) === value);
}

/** A variable of the environment that a process was started with. */
export function variableOf(pid: number, name: string): string | undefined {
  const line = read(`/proc/${pid}/environ`)
    .split("\0")
    .find((text) => text.startsWith(`${name}=`));
  return line?.slice(name.length + 1);
}

/** A TCP socket that waits for connections. */
export interface Listener {
  /** As text: `0.0.0.0`, `127.0.0.1`, `[::]`, … */
  readonly address: string;
  readonly port: number;
  readonly loopback: boolean;
}

/** The same as a socket of the kernel, which processes share when they inherit it. */
export interface ListeningSocket extends Listener {
  readonly inode: string;
  /** The user that opened it. */
  readonly uid: number;
}

/** Where these processes listen. All are taken to share the first one's network. */
export function listeners(pids: readonly number[]): Listener[] {
  const sockets = new Set(pids.flatMap(socketsOf));
  const found = new Map<string, Listener>();
  for (const { inode, address, port, loopback } of listeningSockets(pids[0])) {
    if (sockets.has(inode)) found.set(`${address}:${port}`, { address, port, loopback });
  }
  return [...found.values()];
}

/** All listening sockets of the network that this process has. */
export function listeningSockets(
  pid: number | "self" = "self",
  tables: readonly ("tcp" | "tcp6")[] = ["tcp", "tcp6"],
): ListeningSocket[] {
  return tables.flatMap((table) => [...listeningIn(`/proc/${pid}/net/${table}`)]);
}

/** TCP_LISTEN of the kernel's include/net/tcp_states.h, as /proc/net/tcp writes it. */
const STATE_LISTEN = "0A";

/**
 * The kernel lists sockets that listen before all others. The rest of its table is not read: the kernel would go through
 * all connections of the machine for it, which takes milliseconds.
 */
function* listeningIn(table: string): Generator<ListeningSocket> {
  let isHeader = true;
  for (const line of linesOf(table)) {
    const [, local = "", , state, , , , uid, , inode = ""] = line.trim().split(/\s+/);
    if (!isHeader && state !== STATE_LISTEN) return;
    if (!isHeader) yield Object.assign(parseSocketAddress(local), { inode, uid: Number(uid) });
    isHeader = false;
  }
}

/** The kernel makes as many of a table's lines as a read has room for; a line of `tcp` has 150 bytes. */
const READ_BYTES = 512;

/** The lines of a file, which is read only as far as they are taken. */
function* linesOf(file: string): Generator<string> {
  let descriptor: number | undefined;
  try {
    descriptor = openSync(file, "r");
    const buffer = Buffer.allocUnsafe(READ_BYTES);
    let rest = "";
    for (
      let length = readSync(descriptor, buffer);
      length > 0;
      length = readSync(descriptor, buffer)
    ) {
      const lines = (rest + buffer.toString("latin1", 0, length)).split("\n");
      rest = lines.pop() ?? "";
      yield* lines;
    }
  } catch {
    // It is not there, or its process has ended meanwhile.
  } finally {
    if (descriptor !== undefined) closeSync(descriptor);
  }
}

const SOCKET_LINK = /^socket:\[(\d+)\]$/;

/** Inodes of the sockets that a process has open. */
export function socketsOf(pid: number): string[] {
  let descriptors: string[];
  try {
    descriptors = readdirSync(`/proc/${pid}/fd`);
  } catch {
    return [];
  }
  return descriptors.flatMap((descriptor) => {
    try {
      return SOCKET_LINK.exec(readlinkSync(`/proc/${pid}/fd/${descriptor}`))?.[1] ?? [];
    } catch {
      return [];
    }
  });
}

/**
 * `0100007F:1F90`, or 32 digits for IPv6: the address in words of 32 bits in the machine's byte order,
 * which is little-endian on every machine that GPUs are put into.
 */
export function parseSocketAddress(text: string): Listener {
  const [hex = "", port = ""] = text.split(":");
  const bytes = (hex.match(/.{8}/g) ?? []).flatMap((word) =>
    (word.match(/../g) ?? []).map((byte) => Number.parseInt(byte, 16)).toReversed(),
  );
  const mapped = bytes.length === 16 && isMappedIpv4(bytes);
  const shown = mapped ? bytes.slice(12) : bytes;
  if (shown.length === 4) {
    return {
      address: shown.join("."),
      port: Number.parseInt(port, 16),
      loopback: shown[0] === 127,
    };
  }
  const loopback = bytes.every((byte, index) => byte === (index === 15 ? 1 : 0));
  return { address: `[${showIpv6(bytes)}]`, port: Number.parseInt(port, 16), loopback };
}

/** `::ffff:a.b.c.d` (RFC 4291, 2.5.5.2). */
function isMappedIpv4(bytes: readonly number[]): boolean {
  return bytes.slice(0, 12).every((byte, index) => byte === (index < 10 ? 0 : 0xff));
}

function showIpv6(bytes: readonly number[]): string {
  const groups = Array.from({ length: 8 }, (_, index) =>
    (((bytes[2 * index] ?? 0) << 8) | (bytes[2 * index + 1] ?? 0)).toString(16),
  ).join(":");
  // The URL parser knows the short form (RFC 5952).
  return new URL(`http://[${groups}]`).hostname.slice(1, -1);
}

export function processes(): number[] {
  try {
    return readdirSync("/proc").map(Number).filter(Number.isInteger);
  } catch {
    return [];
  }
}

function statOf(pid: number): string[] {
  const stat = read(`/proc/${pid}/stat`);
  // The command's name is in brackets and may hold blanks and brackets itself.
  return stat.slice(stat.lastIndexOf(")") + 2).split(" ");
}

function read(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}

/** Nothing happens where the process is gone already, or is another user's. A negative number means a group. */
export function signalQuietly(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // Gone already.
  }
}
