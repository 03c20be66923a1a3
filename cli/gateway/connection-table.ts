/**
 * The TCP connections of this machine's own ports, as the Linux kernel lists them. Reading the list takes the kernel
 * one or two milliseconds, however short it is.
 */

import { readFile } from "node:fs/promises";
import { kernelConnectionName } from "../../routing/connection-name.ts";

const TABLES = ["/proc/net/tcp", "/proc/net/tcp6"] as const;

/** States of include/net/tcp_states.h. */
const STATES = { open: "01", half_closed: "08", listening: "0A" } as const;

/** `half_closed`: the peer has sent its FIN, and this side's application has not closed yet. */
export type ConnectionState = keyof typeof STATES;

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
      const listening = await table.connections([port], ["listening"]).catch(() => []);
      if (listening.length > 0) return table;
    }
    return undefined;
  }

  /** The names of the connections at these ports and in these states (routing/connection-name.ts). */
  async connections(
    ports: readonly number[],
    states: readonly ConnectionState[],
  ): Promise<string[]> {
    return parseConnections(await readFile(this.#path, "latin1"), ports, states);
  }
}

/** Reads a table's text. Rows in other states are not looked at, since a busy machine has tens of thousands. */
export function parseConnections(
  text: string,
  ports: readonly number[],
  states: readonly ConnectionState[],
): string[] {
  const port = ports.map((number) => number.toString(16).toUpperCase().padStart(4, "0")).join("|");
  const state = states.map((name) => STATES[name]).join("|");
  const row = new RegExp(
    `^ *\\d+: [0-9A-F]+:(?:${port}) ([0-9A-F]+:[0-9A-F]{4}) (?:${state}) `,
    "gm",
  );
  return [...text.matchAll(row)].map(([, peer = ""]) => kernelConnectionName(peer));
}
