/**
 * One link of a box to the gateway: dials, says hello, carries streams, and dials again when it is
 * lost. Calls are not its business; they outlive it.
 */
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { BATCH_MS, Batching } from "./batching.ts";
import { FRAME, type OutgoingFrame, packFrames, ProtocolError } from "../../routing/wire/frames.ts";
import { KEEPALIVE_TIMEOUT_MS, KIB, MIB, PROTOCOL_VERSIONS } from "../../routing/wire/limits.ts";
import {
  type EndpointAnnouncement,
  type Hello,
  parseWelcome,
  type Welcome,
} from "../../routing/wire/messages.ts";
import { type Acceptor, Multiplexer } from "../../routing/wire/multiplexer.ts";
import type { Carrier } from "../calls/response/carrier.ts";
import type { GatewayAddress } from "./gateway-address.ts";
import { reconnectDelayMs } from "./backoff.ts";
import { LinkSocket } from "./link-socket.ts";

/** Parts of a message from this size on are handed to the socket as they are. */
const REFERENCE_FROM_BYTES = 4 * KIB;

/** Frames are packed into messages of about this size: what a peer must take in at once is bounded. */
const MESSAGE_BYTES = MIB;

/** Twice the time after which the gateway misses an agent that died without a word. */
const HELD_MS = 2 * KEEPALIVE_TIMEOUT_MS;

/** A link that was up for so long was a good one. */
const LIVED_MS = 500;

const { version: AGENT_VERSION } = JSON.parse(
  readFileSync(new URL("../../package.json", import.meta.url), "utf8"),
) as { version: string };

const CLOSE_NORMAL = 1000;
const CLOSE_UNSUPPORTED_VERSION = 4001;
const CLOSE_PROTOCOL_ERROR = 4002;
const CLOSE_REVOKED = 4004;

export interface LinkOptions {
  gateway: GatewayAddress;
  number: number;
  /** Links of this box, in all. */
  links: number;
  incarnation: string;
  acceptor: (link: Link) => Acceptor;
  /** The gateway answered hello, with what this link announces. */
  onWelcome: (welcome: Welcome) => void;
  /** One line for the operator. */
  log: (line: string) => void;
  /** The link will not be dialled again; the line says why. */
  onRefused: (line: string) => void;
}

export class Link implements Carrier {
  readonly #options: LinkOptions;
  readonly #drained = new Set<() => void>();
  #socket: LinkSocket | undefined;
  #streams: Multiplexer | undefined;
  #stopped = false;
  #attempt = 0;
  #lostAt = 0;
  /** Since when another agent has had this box's name, in milliseconds of the epoch. */
  #heldAt: number | undefined;
  #welcomedAt = Number.POSITIVE_INFINITY;
  /** What the box serves by itself; link 0 alone says so. */
  #announced: EndpointAnnouncement[] | undefined;
  #answer: PromiseWithResolvers<Welcome> | undefined;
  /** A hello is on its way; `stale`: it announces what is not true any more. */
  #hello: "none" | "sent" | "stale" = "none";
  #timer: ReturnType<typeof setTimeout> | undefined;
  #said = "";

  constructor(options: LinkOptions) {
    this.#options = options;
  }

  get number(): number {
    return this.#options.number;
  }

  get congested(): boolean {
    return this.#socket?.congested ?? true;
  }

  whenDrained(resume: () => void): void {
    this.#drained.add(resume);
  }

  start(): void {
    this.#lostAt = Date.now();
    void this.#dial();
  }

  /**
   * Announces what the box serves from now on, whole, in this hello or in the next one. Resolves with the
   * gateway's answer to it, over this connection or a later one. One at a time.
   */
  async announce(endpoints: EndpointAnnouncement[]): Promise<Welcome> {
    this.#announced = endpoints;
    this.#answer = Promise.withResolvers();
    if (this.#hello === "sent") this.#hello = "stale";
    else if (this.#streams !== undefined) this.#sayHello(this.#streams);
    return await this.#answer.promise;
  }

  /** Closes the link for good. */
  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
    this.#socket?.close(CLOSE_NORMAL, "the agent stops");
  }

  async #dial(): Promise<void> {
    const { gateway, number, incarnation } = this.#options;
    const dialled = await gateway.dial(`/_postern/link/${number}`, [
      "postern-incarnation",
      incarnation,
    ]);
    if (this.#stopped) {
      if (dialled.kind === "open") dialled.socket.destroy();
      return;
    }
    if (dialled.kind === "refused" && dialled.again === "held") this.#heldAt ??= Date.now();
    else this.#heldAt = undefined;
    if (dialled.kind === "refused" && (dialled.again === "no" || this.#isHeldForGood())) {
      this.#options.onRefused(dialled.line);
      return;
    }
    if (dialled.kind === "refused") {
      this.#tell(dialled.line);
      this.#redial();
      return;
    }
    const batching = new Batching();
    const streams = new Multiplexer({
      role: "agent",
      acceptor: this.#options.acceptor(this),
      onPending: () => {
        if (batching.waits(performance.now(), streams.streams)) setTimeout(flush, BATCH_MS);
        else setImmediate(flush);
      },
      onControl: (type, text) => {
        if (type === FRAME.WELCOME) this.#welcomed(streams, parseWelcome(text));
      },
    });
    const socket = new LinkSocket(
      dialled.socket,
      dialled.head,
      {
        onMessage: (message) => {
          try {
            streams.receive(message);
          } catch (error) {
            if (!(error instanceof ProtocolError)) throw error;
            socket.close(CLOSE_PROTOCOL_ERROR, error.message);
          }
        },
        onDrain: () => {
          const waiting = [...this.#drained];
          this.#drained.clear();
          for (const resume of waiting) resume();
        },
        onClose: (code, reason) => this.#lost(streams, code, reason),
      },
      gateway.needsMask ? () => randomBytes(4) : undefined,
    );
    const flush = (): void => {
      for (const frames of messages(streams.takeFrames())) {
        socket.send(packFrames(frames, REFERENCE_FROM_BYTES));
      }
    };
    this.#socket = socket;
    this.#streams = streams;
    this.#sayHello(streams);
  }

  #sayHello(streams: Multiplexer): void {
    const { incarnation, links } = this.#options;
    this.#hello = "sent";
    streams.control(FRAME.HELLO, {
      versions: [...PROTOCOL_VERSIONS],
      agent: AGENT_VERSION,
      incarnation,
      links,
      ...(this.#announced === undefined ? {} : { endpoints: this.#announced }),
    } satisfies Hello);
  }

  #welcomed(streams: Multiplexer, welcome: Welcome): void {
    this.#welcomedAt = Date.now();
    this.#said = "";
    if (this.#hello === "stale") {
      this.#sayHello(streams);
      return;
    }
    this.#hello = "none";
    this.#options.onWelcome(welcome);
    this.#answer?.resolve(welcome);
  }

  #lost(streams: Multiplexer, code: number, reason: string): void {
    if (this.#streams !== streams) return;
    this.#streams = undefined;
    this.#socket = undefined;
    this.#hello = "none";
    // A link that lived begins its dialling anew; one that is dropped at once goes on where it was.
    if (Date.now() - this.#welcomedAt > LIVED_MS) {
      this.#attempt = 0;
      this.#lostAt = Date.now();
    }
    this.#welcomedAt = Number.POSITIVE_INFINITY;
    this.#drained.clear();
    streams.lost();
    if (this.#stopped) return;
    if (code === CLOSE_UNSUPPORTED_VERSION || code === CLOSE_REVOKED) {
      const revoked = code === CLOSE_REVOKED;
      this.#options.onRefused(revoked ? `the gateway has cut this box off: ${reason}` : reason);
      return;
    }
    this.#tell(`the link to the gateway is lost (${reason || code}); dialling again`);
    this.#redial();
  }

  #isHeldForGood(): boolean {
    return this.#heldAt !== undefined && Date.now() - this.#heldAt >= HELD_MS;
  }

  #redial(): void {
    const delay = reconnectDelayMs(this.#attempt, Date.now() - this.#lostAt, Math.random());
    this.#attempt += 1;
    this.#timer = setTimeout(() => void this.#dial(), delay);
  }

  /** The same line is said once, not at every try. */
  #tell(line: string): void {
    if (line === this.#said) return;
    this.#said = line;
    this.#options.log(line);
  }
}

/** Cuts a list of frames into messages. */
function* messages(frames: readonly OutgoingFrame[]): Generator<readonly OutgoingFrame[]> {
  let start = 0;
  let bytes = 0;
  for (const [index, { length }] of frames.entries()) {
    bytes += length;
    if (bytes < MESSAGE_BYTES) continue;
    yield frames.slice(start, index + 1);
    start = index + 1;
    bytes = 0;
  }
  if (start < frames.length) yield start === 0 ? frames : frames.slice(start);
}
