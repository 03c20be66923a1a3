/**
 * Tells the Worker which clients have closed their half of a connection, which connections are open, and whether
 * workerd's descriptors run short. No code of the Worker runs when a WebSocket ends. workerd does not notice a client's FIN before it next writes to that client (docs/architecture.md, "The hazard of
 * self-hosting"); the kernel's list shows it. The list is read only while the Worker has calls whose clients may leave
 * so, or wants to know which WebSockets are left.
 */

import { request, Agent } from "node:http";
import * as z from "zod";
import type { ConnectionState, ConnectionTable } from "./connection-table.ts";
import { descriptorsOf } from "./descriptors.ts";

/** Between two looks at the kernel's list, and between two questions whether to look. */
const LOOK_MS = 250;
const IDLE_MS = 200;

const TIMEOUT_MS = 2_000;

/** workerd that has no descriptor for a new connection ends, with all the others. So some are left for what is under way. */
const WEBSOCKETS_PART = 0.8;
/** A WebSocket's connection and its box's take two each. */
const DESCRIPTORS_OF_WEBSOCKET = 4;

const ANSWER = z.object({
  isWatching: z.boolean(),
  /** The next notice shall have all open connections. */
  wantsOpen: z.boolean(),
  boxes: z.array(z.string()),
  /** How many there have been since the Worker's begin. */
  openedWebSockets: z.int(),
});

export interface HalfClosedWatchOptions {
  /** The list of the connections at these ports; asked for until there is one. */
  readonly table: () => Promise<ConnectionTable | undefined>;
  /**
   * The port to which clients connect. Those of workerd's own port are watched too. Undefined where the front has it,
   * which notices clients that leave by itself.
   */
  readonly port: number | undefined;
  /** workerd's own port on 127.0.0.1. Pending while workerd is down. */
  readonly workerdPort: () => Promise<number>;
  /** workerd's process; undefined while it is down. */
  readonly workerdPid: () => Promise<number | undefined>;
  readonly baseDomain: string;
  /** This process and its workerd alone know it. */
  readonly secret: string;
}

export class HalfClosedWatch {
  readonly #options: HalfClosedWatchOptions;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1 });
  #table: ConnectionTable | undefined;
  #boxes: ReadonlySet<string> = new Set();
  /** As the Worker last said, and of which process: its successor begins anew. */
  #opened = { pid: 0, webSockets: 0 };
  #ended = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: HalfClosedWatchOptions) {
    this.#options = options;
  }

  /** Connections that are links of boxes, as the Worker last said. */
  get boxes(): ReadonlySet<string> {
    return this.#boxes;
  }

  start(): void {
    const hasFront = this.#options.port === undefined;
    let isWatching = false;
    let wantsOpen = false;
    const look = async (): Promise<void> => {
      let waitMs = IDLE_MS;
      try {
        const names = isWatching ? await this.#connections(["half_closed"]) : [];
        const open = wantsOpen ? await this.#connections(["open", "half_closed"]) : undefined;
        const wasWatching = isWatching;
        const answer = await this.#tell(names, open);
        isWatching = answer.isWatching && !hasFront;
        wantsOpen = answer.wantsOpen;
        waitMs = !isWatching ? IDLE_MS : wasWatching ? LOOK_MS : 0;
        this.#boxes = new Set(answer.boxes);
      } catch {
        // workerd restarts, or is busy: the next look tells it.
      }
      if (!this.#ended) this.#timer = setTimeout(() => void look(), waitMs).unref();
    };
    void look();
  }

  end(): void {
    this.#ended = true;
    clearTimeout(this.#timer);
    this.#agent.destroy();
  }

  async #connections(states: readonly ConnectionState[]): Promise<string[]> {
    const { port, workerdPort } = this.#options;
    const own = await workerdPort();
    this.#table ??= await this.#options.table();
    if (this.#table === undefined) throw new Error("the system lists no connections");
    return await this.#table.connections(port === undefined ? [own] : [port, own], states);
  }

  async #tell(
    connections: readonly string[],
    open: readonly string[] | undefined,
  ): Promise<z.output<typeof ANSWER>> {
    const { workerdPort, workerdPid, baseDomain, secret } = this.#options;
    const port = await workerdPort();
    const pid = await workerdPid();
    const openedWebSockets = this.#opened.pid === pid ? this.#opened.webSockets : 0;
    const moreWebSockets = pid === undefined ? undefined : await roomForWebSockets(pid);
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    const asking = request(
      {
        host: "127.0.0.1",
        port,
        agent: this.#agent,
        method: "POST",
        path: "/_postern/half-closed",
        headers: { host: baseDomain, "postern-watch-secret": secret },
        timeout: TIMEOUT_MS,
      },
      (response) => {
        const chunks: Buffer[] = [];
        response.on("data", (chunk: Buffer) => chunks.push(chunk));
        response.on("end", () => resolve(Buffer.concat(chunks).toString("utf8")));
        response.on("error", reject);
      },
    );
    asking.on("timeout", () => asking.destroy(new Error("workerd does not answer")));
    asking.on("error", reject);
    asking.end(JSON.stringify({ connections, open, moreWebSockets, openedWebSockets }));
    const answer = ANSWER.parse(JSON.parse(await promise));
    this.#opened = { pid: pid ?? 0, webSockets: answer.openedWebSockets };
    return answer;
  }
}

/** How many more WebSockets a workerd has room for; undefined where the system does not tell. */
async function roomForWebSockets(pid: number): Promise<number | undefined> {
  const descriptors = await descriptorsOf(pid);
  if (descriptors === undefined) return undefined;
  const left = WEBSOCKETS_PART * descriptors.limit - descriptors.open;
  return Math.max(0, Math.floor(left / DESCRIPTORS_OF_WEBSOCKET));
}
