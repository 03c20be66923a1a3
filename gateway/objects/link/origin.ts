/**
 * `Origin`: one end of one link of one GPU box, and the streams on it. It is addressed by workspace, box
 * and link number, which come from a verified credential alone. It decides nothing about calls: the Worker
 * that holds the client asks it to open or to attach, and hears how that ended. Everything that must
 * survive hibernation is in the socket's attachment; everything else is asked again from the agent.
 */
import { DurableObject } from "cloudflare:workers";
import { FRAME, packFrames, ProtocolError } from "../../../routing/wire/frames.ts";
import {
  DETACHED_MS,
  KEEPALIVE_INTERVAL_MS,
  KEEPALIVE_TIMEOUT_MS,
  PROTOCOL_VERSIONS,
} from "../../../routing/wire/limits.ts";
import {
  type Hello,
  parseHello,
  type RequestHead,
  type Welcome,
} from "../../../routing/wire/messages.ts";
import { Multiplexer } from "../../../routing/wire/multiplexer.ts";
import {
  type LinkRpc,
  BOX,
  HEAD,
  INCARNATION,
  LINK,
  NONCE,
  PATIENCE,
  REVOKED,
  SERIAL,
  VERB,
  WAIT,
  WHOLE,
  WORKSPACE,
} from "../../contracts/link.ts";
import type { Env } from "../../contracts/env.ts";
import { Attachment } from "./stream-response.ts";
import { linkName, workspaceStub } from "../../contracts/stubs.ts";
import { Deadlines } from "./deadlines.ts";
import { HandedCalls } from "./local-calls.ts";
import { Notification } from "./notification.ts";
import { PendingDial } from "./pending-dial.ts";

/** Close codes of the link's socket (docs/protocol.md). */
const CLOSE_GOODBYE = 1000;
const CLOSE_REPLACED = 4000;
const CLOSE_UNSUPPORTED_VERSION = 4001;
const CLOSE_PROTOCOL_ERROR = 4002;
const CLOSE_SILENT = 4003;
const CLOSE_REVOKED = 4004;
const CLOSE_INTERNAL_ERROR = 1011;

/** Frames that nothing waits for go with the next message, or after this time. */
const LAZY_MS = 500;

const NO_BODY = new Uint8Array(0);

/** What the socket's attachment keeps through hibernation. */
interface LinkIdentity {
  workspace: string;
  box: string;
  /** Of the box's enrolment. */
  serial: string;
  link: number;
  incarnation: string;
  /** The agreed protocol version; 0 until hello. */
  version: number;
}

interface Link {
  readonly socket: WebSocket;
  readonly identity: LinkIdentity;
  readonly streams: Multiplexer;
  /** The workspace has heard of it, or is about to. */
  greeted: boolean;
  /** When a frame last came, in milliseconds of the wall clock. */
  heardAt: number;
}

export class Origin extends DurableObject<Env> implements LinkRpc {
  #link: Link | undefined;
  /** Attachments that wait for the link to come back. */
  readonly #awaitingLink = new Set<() => void>();
  readonly #deadlines = new Deadlines();
  readonly #dials = new Map<string, PendingDial>();
  #watch: number | null = null;
  readonly #handed = new HandedCalls(this.#deadlines, () => {
    this.#watchLink();
    return this.#welcomed()?.streams;
  });

  constructor(state: DurableObjectState, env: Env) {
    super(state, env);
    state.setWebSocketAutoResponse(new WebSocketRequestResponsePair("ping", "pong"));
    const [socket] = state.getWebSockets("link");
    if (socket !== undefined) this.#link = this.#adopt(socket, identityOf(socket), Date.now());
  }

  override async fetch(request: Request): Promise<Response> {
    switch (request.url) {
      case VERB.open:
        return await this.#open(request);
      case VERB.attach:
        return await this.#attach(request);
      case VERB.claim:
        return await this.#claim(request);
      case VERB.websocket:
        return await this.#openWebSocket(request);
      case VERB.link:
        return this.#acceptLink(request);
      case VERB.dial:
        return await this.#acceptDial(request);
      case VERB.abort:
        this.ctx.abort("test hook");
        return new Response(null);
      default:
        throw new Error(`no such verb: ${request.url}`);
    }
  }

  override webSocketMessage(socket: WebSocket, message: ArrayBuffer | string): void {
    const link = this.#link;
    if (link?.socket !== socket || typeof message === "string") return;
    link.heardAt = Date.now();
    try {
      link.streams.receive(new Uint8Array(message));
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.#drop(link, CLOSE_PROTOCOL_ERROR, error.message);
    }
  }

  override webSocketClose(socket: WebSocket, code: number): void {
    if (this.#link?.socket === socket) this.#lost(this.#link, code === CLOSE_GOODBYE);
    // 1005 and 1006 stand for "no code" and may not be sent back (RFC 6455, 7.4.1).
    socket.close(code === 1005 || code === 1006 ? 1000 : code);
  }

  override webSocketError(socket: WebSocket): void {
    if (this.#link?.socket === socket) this.#lost(this.#link);
  }

  /** Whether the agent of this incarnation, or of any, is connected by this link. */
  isUp(incarnation?: string): boolean {
    if (incarnation === undefined) return this.#welcomed() !== undefined;
    // The workspace has heard of it before it is welcome.
    return this.#live()?.identity.incarnation === incarnation;
  }

  /** Ends the link of a box that may not be connected any more. */
  cutRevoked(): void {
    if (this.#link !== undefined) this.#drop(this.#link, CLOSE_REVOKED, REVOKED);
  }

  /** Tells the agent that its assignments have changed; returns whether it heard. */
  async notifyAssignments(): Promise<boolean> {
    const link = this.#welcomed();
    if (link === undefined) return false;
    const notification = new Notification();
    const head: RequestHead = {
      call: crypto.randomUUID(),
      endpoint: "",
      method: "POST",
      target: "/assignments",
      headers: [],
    };
    notification.start(link.streams.open(JSON.stringify(head), NO_BODY, true, notification));
    this.#watchLink();
    return await notification.heard;
  }

  async #open(request: Request): Promise<Response> {
    const link = this.#welcomed();
    if (link === undefined) return Attachment.noLink();
    if (this.env.POSTERN_ONE_ISOLATE === "1") this.#offerDesk(link.identity);
    const head = request.headers.get(HEAD) ?? "";
    const whole = request.headers.has(WHOLE);
    const body = whole ? new Uint8Array(await request.arrayBuffer()) : NO_BODY;
    const attachment = new Attachment(request, this.#deadlines, patienceOf(request));
    const carried = body.length <= link.streams.requestWindow ? body : NO_BODY;
    const end = request.body === null || (whole && carried === body);
    attachment.start(link.streams.open(head, carried, end, attachment));
    if (!end) {
      if (whole) attachment.sendBytes(body);
      else if (request.body !== null) attachment.sendBody(request.body, this.env, head);
    }
    this.#watchLink();
    return await attachment.response;
  }

  async #attach(request: Request): Promise<Response> {
    const waits = request.headers.has(WAIT);
    const link =
      this.#welcomed() ?? (waits ? await this.#linkComesBack(request.signal) : undefined);
    if (link === undefined) return Attachment.noLink();
    const attachment = new Attachment(request, this.#deadlines, patienceOf(request));
    attachment.start(link.streams.attach(request.headers.get(HEAD) ?? "", attachment));
    this.#watchLink();
    return await attachment.response;
  }

  #offerDesk({ workspace, box, link }: LinkIdentity): void {
    const taking = this.#handed.offer(linkName(workspace, box, link));
    if (taking !== undefined) this.ctx.waitUntil(taking);
  }

  async #claim(request: Request): Promise<Response> {
    const call = this.#handed.find(request.headers.get(HEAD) ?? "");
    if (call === undefined) return Attachment.unknown();
    const attachment = new Attachment(request, this.#deadlines, patienceOf(request));
    call.claimedBy(attachment);
    return await attachment.response;
  }

  async #openWebSocket(request: Request): Promise<Response> {
    const link = this.#welcomed();
    if (link === undefined) return Attachment.noLink();
    const nonce = request.headers.get(NONCE) ?? "";
    const dial = new PendingDial(request, this.#deadlines, () => this.#dials.delete(nonce));
    this.#dials.set(nonce, dial);
    dial.start(link.streams.open(request.headers.get(HEAD) ?? "", NO_BODY, true, dial));
    this.#watchLink();
    return await dial.response;
  }

  async #acceptDial(request: Request): Promise<Response> {
    const dial = this.#dials.get(request.headers.get(NONCE) ?? "");
    if (dial === undefined) return new Response("no dial-back is awaited", { status: 404 });
    return await dial.arrived();
  }

  #acceptLink(request: Request): Response {
    const identity: LinkIdentity = {
      workspace: request.headers.get(WORKSPACE) ?? "",
      box: request.headers.get(BOX) ?? "",
      serial: request.headers.get(SERIAL) ?? "",
      link: Number(request.headers.get(LINK)),
      incarnation: request.headers.get(INCARNATION) ?? "",
      version: 0,
    };
    const held = this.#live();
    if (held !== undefined) {
      if (held.identity.incarnation !== identity.incarnation) {
        const text = `another agent is connected as box ${identity.box}: stop it, or take another name`;
        return new Response(`postern: ${text}\n`, { status: 409 });
      }
      held.socket.close(CLOSE_REPLACED, "the same agent dialled anew");
      this.#forget(held);
    }
    const { 0: theirs, 1: ours } = new WebSocketPair();
    this.ctx.acceptWebSocket(ours, ["link"]);
    ours.serializeAttachment(identity);
    this.#link = this.#adopt(ours, identity, Date.now());
    return new Response(null, { status: 101, webSocket: theirs });
  }

  #adopt(socket: WebSocket, identity: LinkIdentity, heardAt: number): Link {
    // One timer, however many frames are waiting: each would wake the object.
    let lazy = false;
    const streams = new Multiplexer({
      role: "gateway",
      // Late frames of streams from before hibernation must not meet new streams of the same number.
      firstStream: crypto.getRandomValues(new Uint32Array(1))[0] as number,
      onPending: () => {
        queueMicrotask(flush);
      },
      onLazy: () => {
        if (lazy) return;
        lazy = true;
        setTimeout(() => {
          lazy = false;
          flush();
        }, LAZY_MS);
      },
      onControl: (type, text) => {
        if (type === FRAME.HELLO) this.ctx.waitUntil(this.#welcome(link, text));
      },
    });
    const flush = (): void => {
      const [message] = packFrames(streams.takeFrames());
      if (message !== undefined && this.#link === link) socket.send(message);
    };
    const greeted = identity.version !== 0;
    const link: Link = { socket, identity, streams, greeted, heardAt };
    return link;
  }

  async #welcome(link: Link, text: string): Promise<void> {
    let hello: Hello;
    try {
      hello = parseHello(text);
    } catch (error) {
      this.#drop(link, CLOSE_PROTOCOL_ERROR, error instanceof Error ? error.message : "hello");
      return;
    }
    const common = PROTOCOL_VERSIONS.filter((version) => hello.versions.includes(version));
    if (common.length === 0) {
      const ours = PROTOCOL_VERSIONS.join(", ");
      const theirs = hello.versions.join(", ");
      this.#drop(
        link,
        CLOSE_UNSUPPORTED_VERSION,
        `this gateway speaks protocol ${ours}, the agent ${theirs}: update the older one`,
      );
      return;
    }
    const version = Math.max(...common);
    const { workspace, box, serial, link: number, incarnation } = link.identity;
    const { agent, links, endpoints: announced } = hello;
    const greeting = {
      box,
      serial,
      link: number,
      incarnation,
      agent,
      links,
      endpoints: announced,
    };
    let endpoints: Welcome["endpoints"] | undefined;
    try {
      link.greeted = true;
      endpoints = await workspaceStub(this.env, workspace).greet(greeting);
    } catch (error) {
      console.error(`registering ${box}: ${String(error)}`);
      this.#drop(link, CLOSE_INTERNAL_ERROR, "the gateway could not register the endpoints");
      return;
    }
    if (endpoints === undefined) {
      this.#drop(link, CLOSE_REVOKED, REVOKED);
      return;
    }
    link.identity.version = version;
    link.socket.serializeAttachment(link.identity);
    if (this.#link !== link) return;
    link.streams.control(FRAME.WELCOME, { version, endpoints } satisfies Welcome);
    for (const wake of this.#awaitingLink) wake();
  }

  /** The link, once its agent has said hello and been answered: before that nothing is agreed on. */
  #welcomed(): Link | undefined {
    const link = this.#live();
    return link === undefined || link.identity.version === 0 ? undefined : link;
  }

  /** The link, if it is there and was heard of lately. */
  #live(): Link | undefined {
    const link = this.#link;
    if (link === undefined) return undefined;
    if (link.socket.readyState !== WebSocket.READY_STATE_OPEN) {
      this.#lost(link);
      return undefined;
    }
    const pinged = this.ctx.getWebSocketAutoResponseTimestamp(link.socket)?.getTime() ?? 0;
    if (Date.now() - Math.max(link.heardAt, pinged) <= KEEPALIVE_TIMEOUT_MS) return link;
    this.#drop(link, CLOSE_SILENT, "nothing was heard of the agent");
    return undefined;
  }

  #linkComesBack(signal: AbortSignal): Promise<Link | undefined> {
    return new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        this.#awaitingLink.delete(done);
        resolve(this.#welcomed());
      };
      const timer = setTimeout(done, DETACHED_MS);
      signal.addEventListener("abort", done);
      this.#awaitingLink.add(done);
    });
  }

  /** While streams are open, a silent link is noticed even if no new request comes. */
  #watchLink(): void {
    if (this.#watch !== null) return;
    this.#watch = setInterval(() => {
      const link = this.#live();
      if (link !== undefined && link.streams.streams > 0) return;
      clearInterval(this.#watch);
      this.#watch = null;
    }, KEEPALIVE_INTERVAL_MS);
  }

  #drop(link: Link, code: number, reason: string): void {
    link.socket.close(code, reason.slice(0, 120));
    this.#lost(link);
  }

  /** @param isGoodbye the agent has ended, and said so */
  #lost(link: Link, isGoodbye = false): void {
    if (this.#link !== link) return;
    this.#forget(link);
    if (!link.greeted) return;
    const { workspace, box, link: number, incarnation } = link.identity;
    const gone = { box, link: number, incarnation };
    const told = workspaceStub(this.env, workspace).linkLost(gone, isGoodbye);
    // Whoever must be sure asks this object (box-links.ts).
    this.ctx.waitUntil(told.catch((error) => console.error(`telling of ${box}: ${String(error)}`)));
  }

  #forget(link: Link): void {
    this.#link = undefined;
    link.streams.lost();
  }
}

/** Milliseconds that the client of this request waits; undefined: for ever. */
function patienceOf(request: Request): number | undefined {
  const milliseconds = Number(request.headers.get(PATIENCE) ?? Number.NaN);
  return milliseconds >= 0 ? milliseconds : undefined;
}

function identityOf(socket: WebSocket): LinkIdentity {
  return socket.deserializeAttachment() as LinkIdentity;
}
