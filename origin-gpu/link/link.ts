/**
 * One link of a box to the gateway: dials, says hello, carries streams, and dials again when it is
 * lost. Calls are not its business; they outlive it.
 */
import { randomBytes } from "node:crypto";
import { BATCH_MS, Batching } from "../../routing/wire/batching.ts";
import { FRAME, type OutgoingFrame, packFrames, ProtocolError } from "../../routing/wire/frames.ts";
import { KEEPALIVE_TIMEOUT_MS, KIB, MIB, PROTOCOL_VERSIONS } from "../../routing/wire/limits.ts";
import {
  type EndpointAnnouncement,
  parseWelcome,
  type Welcome,
} from "../../routing/wire/messages.ts";
import { type Acceptor, Multiplexer } from "../../routing/wire/multiplexer.ts";
import type { Carrier } from "../calls/carrier.ts";
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
  /** Link 0 announces them. */
  endpoints?: EndpointAnnouncement[];
  acceptor: (link: Link) => Acceptor;
  /** The gateway answered hello. */
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

  /** Closes the link for good. */
  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
    this.#socket?.close(CLOSE_NORMAL, "the agent stops");
  }

  async #dial(): Promise<void> {
    const { gateway, number, incarnation, links, endpoints } = this.#options;
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
        if (type !== FRAME.WELCOME) return;
        this.#welcomedAt = Date.now();
        this.#said = "";
        this.#options.onWelcome(parseWelcome(text));
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
    streams.control(FRAME.HELLO, {
      versions: PROTOCOL_VERSIONS,
      agent: "postern",
      incarnation,
      links,
      ...(endpoints === undefined ? {} : { endpoints }),
    });
  }

  #lost(streams: Multiplexer, code: number, reason: string): void {
    if (this.#streams !== streams) return;
    this.#streams = undefined;
    this.#socket = undefined;
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
      this.#options.onRefused(reason);
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
