/**
 * The connections of WebSockets, of clients and of boxes, by their workspaces, on a self-hosted gateway. No code of ours runs when one ends, so the runner
 * tells from time to time which connections are still open (cli/gateway/half-closed-watch.ts).
 */
import { Counts, type Uncount } from "../../../routing/counts.ts";

/** Between two looks at the list of connections, which costs some milliseconds with 10,000 of them. */
const LOOK_MS = 1_000;

interface OpenWebSocket {
  /** How many had been opened when it was. */
  readonly number: number;
  readonly uncount: Uncount;
}

export class OpenWebSockets {
  readonly #counts = new Counts();
  /** By the names of the connections. */
  readonly #sockets = new Map<string, OpenWebSocket>();
  #lookedAt = 0;

  get total(): number {
    return this.#counts.total;
  }

  of(workspace: string): number {
    return this.#counts.of(workspace);
  }

  /** @param number how many have been opened */
  add(connection: string, workspace: string, number: number): void {
    this.#sockets.get(connection)?.uncount();
    this.#sockets.set(connection, { number, uncount: this.#counts.add(workspace) });
  }

  /** Whether it is time to look which of them are still open. */
  isDue(nowMs: number): boolean {
    return this.#sockets.size > 0 && nowMs - this.#lookedAt >= LOOK_MS;
  }

  /**
   * The runner has looked.
   * @param connections all that are open
   * @param opened how many had been opened when it began to look
   */
  onLooked(connections: readonly string[], opened: number, nowMs: number): void {
    this.#lookedAt = nowMs;
    const open = new Set(connections);
    for (const [name, { number, uncount }] of this.#sockets) {
      if (number > opened || open.has(name)) continue;
      uncount();
      this.#sockets.delete(name);
    }
  }
}
