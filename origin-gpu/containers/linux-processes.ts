/**
 * Reads from /proc what the processes of a container are and where they listen. Elsewhere than on Linux, and where
 * /proc hides something, each answer is empty, and none is an error.
 */
import { readFileSync, readdirSync, readlinkSync } from "node:fs";

/** Processes of this group, its leader included. */
export function groupMembers(group: number): number[] {
  return everyProcess().filter((pid) => {
    const stat = read(`/proc/${pid}/stat`);
    // The command's name is in brackets and may hold blanks and brackets itself.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return Number(fields[2]) === group;
  });
}

/** Processes that carry this variable in their environment, wherever they have gone since. */
export function processesWithVariable(name: string, value: string): number[] {
  const wanted = `${name}=${value}`;
  return everyProcess().filter((pid) => read(`/proc/${pid}/environ`).split("\0").includes(wanted));
}

/** A TCP socket that waits for connections. */
export interface Listener {
  /** As text: `0.0.0.0`, `127.0.0.1`, `[::]`, … */
  readonly address: string;
  readonly port: number;
  readonly loopback: boolean;
}

/** Where these processes listen. All are taken to share the first one's network. */
export function listeners(pids: readonly number[]): Listener[] {
  const sockets = new Set(pids.flatMap(socketsOf));
  const found = new Map<string, Listener>();
  for (const table of ["tcp", "tcp6"]) {
    for (const line of read(`/proc/${pids[0]}/net/${table}`).split("\n").slice(1)) {
      const fields = line.trim().split(/\s+/);
      const [, local = "", , state] = fields;
      const inode = fields[9] ?? "";
      if (state !== STATE_LISTEN || !sockets.has(inode)) continue;
      const listener = parseSocketAddress(local);
      found.set(`${listener.address}:${listener.port}`, listener);
    }
  }
  return [...found.values()];
}

/** TCP_LISTEN of the kernel's include/net/tcp_states.h, as /proc/net/tcp writes it. */
const STATE_LISTEN = "0A";
const SOCKET_LINK = /^socket:\[(\d+)\]$/;

function socketsOf(pid: number): string[] {
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

function everyProcess(): number[] {
  try {
    return readdirSync("/proc").map(Number).filter(Number.isInteger);
  } catch {
    return [];
  }
}

function read(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}
