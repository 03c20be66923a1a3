/**
 * One link of a box to the gateway: dials, says hello, and dials again when the connection is lost. Streams are on
 * its present connection (agent-connection.ts); calls outlive it.
 */
import { readFileSync } from "node:fs";
import type { Observer } from "../../base/observer.ts";
import { FRAME } from "../../routing/wire/frames.ts";
import { KEEPALIVE_TIMEOUT_MS, PROTOCOL_VERSIONS } from "../../routing/wire/limits.ts";
import {
  type EndpointAnnouncement,
  type Hello,
  parseWelcome,
  type Welcome,
} from "../../routing/wire/messages.ts";
import type { Acceptor } from "../../routing/wire/multiplexer.ts";
import type { Carrier } from "../../routing/wire/stream-writer.ts";
import { SocketReads } from "../websocket/socket-reads.ts";
import { AgentConnection } from "./agent-connection.ts";
import { reconnectDelayMs } from "./backoff.ts";
import type { Dialled, GatewayAddress } from "./gateway-address.ts";

/** Twice the time after which the gateway misses an agent that died without a word. */
const HELD_MS = 2 * KEEPALIVE_TIMEOUT_MS;

/** A connection that was up for so long was a good one: after it, dialling begins anew. */
const LIVED_MS = 500;

/**
 * Until WELCOME, since HELLO. A gateway that adopted another socket of this link answers the keepalive and nothing
 * else.
 */
const WELCOME_TIMEOUT_MS = 15_000;

/** The agent's own close codes. */
const CLOSE_NORMAL = 1000;
const CLOSE_GOING_AWAY = 1001;

/** The gateway's final close codes (docs/protocol.md). */
const CLOSE_UNSUPPORTED_VERSION = 4001;
const CLOSE_REVOKED = 4004;

const { version: AGENT_VERSION } = JSON.parse(
  readFileSync(new URL("../../package.json", import.meta.url), "utf8"),
) as { version: string };

export interface LinkOptions {
  readonly gateway: GatewayAddress;
  readonly number: number;
  /** Links of this box, in all. */
  readonly links: number;
  readonly incarnation: string;
  readonly acceptor: (link: Link) => Acceptor;
  /** The gateway answered hello, with what this link announces. */
  readonly onWelcome: (welcome: Welcome) => void;
  readonly observer: Observer;
  /** The link will not be dialled again. @param line why, for the operator */
  readonly onRefused: (line: string) => void;
}

type LinkState = "stopped" | "waiting" | "dialling" | "greeting" | "connected";

type LinkRefusal = Extract<Dialled, { kind: "refused" }>;

interface StopOptions {
  readonly isFollowed?: boolean;
}

export class Link implements Carrier {
  readonly #options: LinkOptions;
  readonly #drained = new Set<() => void>();
  readonly #stop = new AbortController();
  #state: LinkState = "stopped";
  #connection: AgentConnection | undefined;
  /** Tries since the last good connection. */
  #tries = 0;
  /** When that was lost, in milliseconds of the epoch. */
  #lostAt = 0;
  /** Since when the gateway has not been there, however short it was there before, in milliseconds of the epoch. */
  #awaySince = 0;
  #welcomedAt = Number.POSITIVE_INFINITY;
  #wasConnected = false;
  /** Since when another agent has had this box's name, in milliseconds of the epoch. */
  #heldAt: number | undefined;
  /** The last dial met a final verdict. A second one in a row is believed. */
  #isDoomed = false;
  /** The endpoints that the box serves by itself. Link 0 alone says so. */
  #announced: EndpointAnnouncement[] | undefined;
  #answer: PromiseWithResolvers<Welcome> | undefined;
  /** The HELLO that waits for its WELCOME; `stale`: it announces what is not true any more. */
  #hello: "none" | "sent" | "stale" = "none";
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** The last line for the operator while the link is away. */
  #told = "";

  constructor(options: LinkOptions) {
    this.#options = options;
  }

  get number(): number {
    return this.#options.number;
  }

  get congested(): boolean {
    return this.#connection?.congested ?? true;
  }

  whenDrained(resume: () => void): void {
    this.#drained.add(resume);
  }

  start(): void {
    this.#lostAt = Date.now();
    this.#awaySince = this.#lostAt;
    void this.#dial("the agent starts");
  }

  /**
   * Announces all that the box serves from now on, in this HELLO or in the next one. Resolves with the gateway's
   * answer to that, over this connection or a later one. One at a time.
   */
  async announce(endpoints: EndpointAnnouncement[]): Promise<Welcome> {
    this.#announced = endpoints;
    this.#answer = Promise.withResolvers();
    if (this.#hello === "sent") this.#hello = "stale";
    else if (this.#connection !== undefined) this.#sayHello(this.#connection);
    return await this.#answer.promise;
  }

  /**
   * Closes the link for good; a dial that is under way ends at once.
   * @param isFollowed another agent of the box takes over, and the gateway expects it
   */
  stop({ isFollowed = false }: StopOptions = {}): void {
    this.#stop.abort();
    clearTimeout(this.#timer);
    this.#connection?.close(isFollowed ? CLOSE_GOING_AWAY : CLOSE_NORMAL, "the agent stops");
    this.#enter("stopped", "the agent stops");
  }

  async #dial(reason: string): Promise<void> {
    this.#enter("dialling", reason);
    const { gateway, number, incarnation } = this.#options;
    const headers = ["postern-incarnation", incarnation];
    const { signal } = this.#stop;
    const reads = new SocketReads();
    const dialled = await gateway.dial(`/_postern/link/${number}`, { headers, signal, reads });
    if (signal.aborted) {
      if (dialled.kind === "open") dialled.socket.destroy();
    } else if (dialled.kind === "refused") this.#onDialRefused(dialled);
    else this.#connect(dialled, reads);
  }

  #onDialRefused({ line, verdict }: LinkRefusal): void {
    const isDoomed = verdict === "final";
    const isHeld = verdict === "held";
    if (isHeld) this.#heldAt ??= Date.now();
    else this.#heldAt = undefined;
    const isHeldForGood = this.#heldAt !== undefined && Date.now() - this.#heldAt >= HELD_MS;
    if (isHeldForGood || (isDoomed && this.#isDoomed)) {
      this.#giveUp(line);
      return;
    }
    this.#isDoomed = isDoomed;
    if (!isDoomed) this.#tell(line);
    this.#waitToDial(line);
  }

  #connect(dialled: Extract<Dialled, { kind: "open" }>, reads: SocketReads): void {
    this.#heldAt = undefined;
    this.#isDoomed = false;
    const { gateway, number, acceptor, observer } = this.#options;
    const connection = new AgentConnection({
      dialled,
      reads,
      needsMask: gateway.needsMask,
      number,
      acceptor: acceptor(this),
      observer,
      onWelcome: (text) => this.#onWelcome(connection, parseWelcome(text)),
      onDrained: () => {
        const waiting = [...this.#drained];
        this.#drained.clear();
        for (const resume of waiting) resume();
      },
      onClosed: (code, reason) => this.#onLost(connection, code, reason),
    });
    this.#connection = connection;
    this.#enter("greeting", "the gateway took the dial");
    this.#sayHello(connection);
  }

  #sayHello(connection: AgentConnection): void {
    const { incarnation, links } = this.#options;
    this.#hello = "sent";
    connection.send(FRAME.HELLO, {
      versions: [...PROTOCOL_VERSIONS],
      agent: AGENT_VERSION,
      incarnation,
      links,
      ...(this.#announced === undefined ? {} : { endpoints: this.#announced }),
    } satisfies Hello);
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => connection.cut("no welcome came"), WELCOME_TIMEOUT_MS);
  }

  #onWelcome(connection: AgentConnection, welcome: Welcome): void {
    clearTimeout(this.#timer);
    connection.speak(welcome.version);
    if (this.#state === "greeting") this.#onConnected();
    if (this.#hello === "stale") {
      this.#sayHello(connection);
      return;
    }
    this.#hello = "none";
    this.#options.onWelcome(welcome);
    this.#answer?.resolve(welcome);
  }

  #onConnected(): void {
    if (this.#told !== "") {
      const awayS = Math.round((Date.now() - this.#awaySince) / 1_000);
      const what = this.#wasConnected ? "back" : "there";
      this.#notice(`${this.#name} is ${what} after ${awayS} s`);
    }
    this.#told = "";
    this.#wasConnected = true;
    this.#welcomedAt = Date.now();
    this.#enter("connected", "the gateway said welcome");
  }

  #onLost(connection: AgentConnection, code: number, reason: string): void {
    if (this.#connection !== connection) return;
    clearTimeout(this.#timer);
    this.#connection = undefined;
    this.#hello = "none";
    const now = Date.now();
    if (this.#state === "connected") this.#awaySince = now;
    // A connection that is dropped at once goes on with the delays of the ones before.
    if (now - this.#welcomedAt > LIVED_MS) {
      this.#tries = 0;
      this.#lostAt = now;
    }
    this.#welcomedAt = Number.POSITIVE_INFINITY;
    this.#drained.clear();
    connection.end();
    if (this.#stop.signal.aborted) return;
    if (code === CLOSE_REVOKED) this.#giveUp(`the gateway has cut this box off: ${reason}`);
    else if (code === CLOSE_UNSUPPORTED_VERSION) this.#giveUp(reason);
    else {
      this.#tell(`${this.#name} is lost (${reason || code}); dialling again`);
      this.#waitToDial(reason || `closed with ${code}`);
    }
  }

  #waitToDial(reason: string): void {
    this.#enter("waiting", reason);
    const delay = reconnectDelayMs(this.#tries, Date.now() - this.#lostAt, Math.random());
    this.#tries += 1;
    this.#timer = setTimeout(() => void this.#dial("the delay is over"), delay);
  }

  #giveUp(line: string): void {
    this.#enter("stopped", line);
    this.#options.onRefused(line);
  }

  #enter(to: LinkState, reason: string): void {
    const from = this.#state;
    if (from === to) return;
    this.#state = to;
    this.#options.observer.emit("link.state", { from, to, reason, link: this.number });
  }

  /** Tells the operator the same line once, not at every try. */
  #tell(line: string): void {
    if (line === this.#told) return;
    this.#told = line;
    this.#notice(line);
  }

  #notice(line: string): void {
    this.#options.observer.notice(line);
  }

  get #name(): string {
    const { number, links } = this.#options;
    return links === 1 ? "the link to the gateway" : `link ${number} to the gateway`;
  }
}
