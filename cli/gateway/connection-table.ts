/**
 * The TCP connections of this machine's own ports, as the Linux kernel lists them. Reading the list takes the kernel
 * one or two milliseconds, however short it is.
 */

import { readFile } from "node:fs/promises";
import { kernelConnectionName } from "../../routing/connection-name.ts";

const TABLES = ["/proc/net/tcp", "/proc/net/tcp6"] as const;

/** States of include/net/tcp_states.h. */
const STATES = { "01": "open", "08": "half_closed", "0A": "listening" } as const;

/** `half_closed`: the peer has sent its FIN, and this side's application has not closed yet. */
export type ConnectionState = (typeof STATES)[keyof typeof STATES];

export interface ConnectionRow {
  /** By the peer's address and port (routing/connection-name.ts). */
  readonly name: string;
  readonly state: ConnectionState;
}

/** The list of one address family, in which this process's socket stands. */
export class ConnectionTable {
  readonly #path: string;

  private constructor(path: string) {
    this.#path = path;
  }

  /** Finds the list that has the listening socket of a port; undefined where the system shows none. */
  static async find(port: number): Promise<ConnectionTable | undefined> {
    for (const path of TABLES) {
      const table = new ConnectionTable(path);
      const rows = await table.connections([port]).catch(() => []);
      if (rows.some(({ state }) => state === "listening")) return table;
    }
    return undefined;
  }

  /** The connections at these ports. */
  async connections(ports: readonly number[]): Promise<ConnectionRow[]> {
    return parseConnections(await readFile(this.#path, "latin1"), ports);
  }
}

/** Reads a table's text. Rows in other states, such as TIME_WAIT, are left out. */
export function parseConnections(text: string, ports: readonly number[]): ConnectionRow[] {
  const codes = new Set(ports.map((port) => port.toString(16).toUpperCase().padStart(4, "0")));
  const rows: ConnectionRow[] = [];
  for (const line of text.split("\n").slice(1)) {
    const [, local = "", peer = "", code = ""] = line.trim().split(/\s+/, 4);
    if (!codes.has(local.slice(local.lastIndexOf(":") + 1))) continue;
    const state = STATES[code as keyof typeof STATES] as ConnectionState | undefined;
    if (state !== undefined) rows.push({ name: kernelConnectionName(peer), state });
  }
  return rows;
}
