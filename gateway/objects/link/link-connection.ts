/**
 * The socket of a link and the streams on it. The socket is hibernatable. State that must survive hibernation is
 * in the socket's attachment; the object asks the agent again for everything else.
 */
import type { Observer } from "../../../base/observer.ts";
import { frameTap } from "../../../routing/wire/frame-tap.ts";
import { packFrames } from "../../../routing/wire/frames.ts";
import { Multiplexer } from "../../../routing/wire/multiplexer.ts";

/** Close codes of the link's socket (docs/protocol.md). */
export const CLOSE = {
  goodbye: 1000,
  internalError: 1011,
  replaced: 4000,
  unsupportedVersion: 4001,
  protocolError: 4002,
  silent: 4003,
  revoked: 4004,
} as const;

/** The longest reason of a close frame is 123 bytes (RFC 6455, 5.5). */
const MAX_REASON_CHARACTERS = 120;

/** Frames that nothing waits for go with the next message, or after this time. */
const LAZY_MS = 500;

/** The socket's attachment, which survives hibernation. */
export interface LinkIdentity {
  readonly workspace: string;
  readonly box: string;
  /** Of the box's enrolment. */
  readonly serial: string;
  readonly link: number;
  /** The number of the box's links, once its agent said hello. */
  links: number;
  readonly incarnation: string;
  /** When the socket was accepted, in milliseconds of the epoch; larger than that of every socket before it. */
  readonly acceptedAt: number;
  /** The agreed protocol version; 0 until hello. */
  version: number;
}

export class LinkConnection {
  readonly socket: WebSocket;
  readonly identity: LinkIdentity;
  readonly streams: Multiplexer;
  /** The workspace has heard of the link, or is about to. */
  greeted: boolean;
  /** When a frame last came, in milliseconds of the epoch. Keepalive pings are not among them. */
  heardAt: number;
  readonly #observer: Observer;
  #state: "greeting" | "connected" | "closed";

  /** @param onControl a frame of the link itself, with its JSON text */
  constructor(
    socket: WebSocket,
    identity: LinkIdentity,
    observer: Observer,
    onControl: (link: LinkConnection, type: number, text: string) => void,
  ) {
    this.socket = socket;
    this.identity = identity;
    this.greeted = identity.version !== 0;
    this.#observer = observer;
    this.#state = this.greeted ? "connected" : "greeting";
    this.heardAt = identity.acceptedAt;
    // One timer for all lazy frames: each timer would wake the object.
    let isFlushing = false;
    this.streams = new Multiplexer({
      role: "gateway",
      // Late frames of streams from before hibernation must not meet new streams of the same number.
      firstStream: crypto.getRandomValues(new Uint32Array(1))[0] as number,
      onPending: () => {
        queueMicrotask(() => this.#flush());
      },
      onMessage: (message) => {
        this.#flush();
        if (this.#state !== "closed") this.socket.send(message);
      },
      onLazy: () => {
        if (isFlushing) return;
        isFlushing = true;
        setTimeout(() => {
          isFlushing = false;
          this.#flush();
        }, LAZY_MS);
      },
      onControl: (type, text) => onControl(this, type, text),
      onFrame: frameTap(observer, identity),
    });
    this.streams.speak(identity.version);
  }

  /** The link's connection on a socket that was accepted before hibernation. */
  static resume(
    socket: WebSocket,
    observer: Observer,
    onControl: (link: LinkConnection, type: number, text: string) => void,
  ): LinkConnection {
    return new LinkConnection(socket, identityOf(socket), observer, onControl);
  }

  /** Both sides have agreed on a version: it survives hibernation. */
  welcome(version: number, links: number): void {
    this.identity.version = version;
    this.streams.speak(version);
    this.identity.links = links;
    this.socket.serializeAttachment(this.identity);
    this.#enter("connected", "welcomed");
  }

  /** Sends nothing more; the streams hear that the link is lost. @param reason for the operator */
  end(reason: string): void {
    this.#enter("closed", reason);
    this.streams.lost();
  }

  #enter(to: "connected" | "closed", reason: string): void {
    const from = this.#state;
    if (from === to || from === "closed") return;
    this.#state = to;
    const { workspace, box, link } = this.identity;
    this.#observer.emit("link.state", { workspace, box, link, from, to, reason });
  }

  #flush(): void {
    if (this.#state === "closed") return;
    const [message] = packFrames(this.streams.takeFrames());
    if (message !== undefined) this.socket.send(message);
  }
}

/** The sockets of a link, the newest first. A path that died silently leaves an older one behind. */
export function newestFirst(sockets: readonly WebSocket[]): WebSocket[] {
  return sockets.toSorted(
    (first, second) => identityOf(second).acceptedAt - identityOf(first).acceptedAt,
  );
}

/** Closes a socket that is not closed yet. @param reason for the agent's operator */
export function closeSocket(socket: WebSocket, code: number, reason: string): void {
  if (socket.readyState !== WebSocket.READY_STATE_OPEN) return;
  socket.close(code, reason.slice(0, MAX_REASON_CHARACTERS));
}

function identityOf(socket: WebSocket): LinkIdentity {
  return socket.deserializeAttachment() as LinkIdentity;
}
