/**
 * `Origin`: the gateway's end of one link of one GPU box, and the streams on it. It is addressed by workspace,
 * box and link number, which come from a verified credential alone. It decides nothing about calls: the Worker
 * that holds the client asks it to open or to attach, and hears how that attempt ended.
 */
import { DurableObject } from "cloudflare:workers";
import { FRAME, ProtocolError } from "../../../routing/wire/frames.ts";
import { parseOpenHead } from "../../../routing/wire/heads.ts";
import {
  KEEPALIVE_INTERVAL_MS,
  KEEPALIVE_TIMEOUT_MS,
  PROTOCOL_VERSIONS,
  QUIET_MS,
} from "../../../routing/wire/limits.ts";
import {
  type CallName,
  type Hello,
  parseAttach,
  parseHello,
  type Welcome,
} from "../../../routing/wire/messages.ts";
import type { Stream } from "../../../routing/wire/multiplexer.ts";
import { operationHead } from "../../../routing/wire/agent-operations.ts";
import { observerOf, reportError } from "../../contracts/observer.ts";
import type { Env } from "../../contracts/env.ts";
import {
  BOX,
  type BoxNews,
  CONNECTION,
  HEAD,
  KEY,
  INCARNATION,
  KNOWN_PARKED,
  LATELY_MS,
  LINK,
  LINK_RETURN_MS,
  type LinkRpc,
  NONCE,
  OTHERS,
  PATIENCE,
  REVOKED,
  SERIAL,
  SHARE,
  VERB,
  WAIT,
  WHOLE,
  WORKSPACE,
} from "../../contracts/link.ts";
import { drainBody } from "../../contracts/drained-body.ts";
import { streamingResponses } from "../../contracts/streaming-responses.ts";
import { linkName, workspaceStub } from "../../contracts/stubs.ts";
import { hasLeft, watchCall } from "../../contracts/watched-calls.ts";
import { AgentQuestion, type AgentAnswer, askOverOthers } from "./agent-question.ts";
import { attachAgain, type OwnLink } from "./attach-again.ts";
import { CallWatchers } from "./call-watchers.ts";
import { ClaimableCalls } from "./claimable-calls.ts";
import { Deadlines } from "./deadlines.ts";
import { EnrolmentQuestion } from "./enrolment-question.ts";
import { greet, processName } from "./greet.ts";
import {
  CLOSE,
  closeSocket,
  LinkConnection,
  type LinkIdentity,
  newestFirst,
} from "./link-connection.ts";
import { Notification } from "./notification.ts";
import { PendingDial } from "./pending-dial.ts";
import { clientLeft, noLink, revokedBox, unknownCall } from "./refusals.ts";
import { StreamResponse } from "./stream-response.ts";
import type { Resume } from "./stream-response-options.ts";
import { WatchedClients } from "./watched-clients.ts";

const NO_BODY = new Uint8Array(0);

/** A Close frame leaves within this time, before the object ends. */
const LAST_WORD_MS = 500;

const DIALLED_ANEW = "the same agent dialled anew";

export class Origin extends DurableObject<Env> implements LinkRpc {
  #link: LinkConnection | undefined;
  /** When the last link was lost, in milliseconds of the epoch: "gone" after a goodbye, undefined before any link. */
  #lostAt: number | "gone" | undefined;
  /** Of the last link that was lost. */
  #lostIdentity: LinkIdentity | undefined;
  /** Requests that wait for the link to come back. */
  readonly #awaitingLink = new Set<() => void>();
  readonly #deadlines = new Deadlines();
  readonly #dials = new Map<string, PendingDial>();
  /** Its box is not enrolled any more, or anew: nobody waits for the link until one is accepted again. */
  #isRevoked = false;
  readonly #enrolment = new EnrolmentQuestion(this.env, this.ctx.id.name);
  readonly #clients = new WatchedClients();
  /** It has coupled WebSockets of clients, which may be open still. */
  #hasCoupled = false;
  #watch: number | null = null;
  readonly #claimable = new ClaimableCalls(
    this.#deadlines,
    () => {
      this.#watchLink();
      const link = this.#welcomed();
      // A call that has other boxes comes by a request, which says so.
      return link === undefined || this.#isQuiet(link) ? undefined : link.streams;
    },
    (error) => reportError(this.env, "opening a call", error),
  );

  readonly #watchers = new CallWatchers((head) => this.#askAgent(head));
  /** The box whose calls are watched. */
  #watchedBox: LinkIdentity | undefined;

  constructor(state: DurableObjectState, env: Env) {
    super(state, env);
    state.setWebSocketAutoResponse(new WebSocketRequestResponsePair("ping", "pong"));
    const [newest, ...older] = newestFirst(state.getWebSockets("link"));
    for (const socket of older) closeSocket(socket, CLOSE.replaced, "a newer link took its place");
    if (newest !== undefined)
      this.#link = LinkConnection.resume(newest, observerOf(env), this.#onControl);
  }

  override async fetch(request: Request): Promise<Response> {
    switch (request.url) {
      case VERB.open:
        return await this.#open(request);
      case VERB.attach:
        return await this.#attach(request);
      case VERB.claim:
        return await this.#claim(request);
      case VERB.watch:
        return await this.#watchCall(request);
      case VERB.websocket:
        return await this.#openWebSocket(request);
      case VERB.link:
        return this.#acceptLink(request);
      case VERB.dial:
        return await this.#acceptDial(request);
      default:
        throw new Error(`no such verb: ${request.url}`);
    }
  }

  override webSocketMessage(socket: WebSocket, message: ArrayBuffer | string): void {
    const link = this.#link;
    if (link?.socket !== socket) {
      // Its agent would take the silence of this socket for a link that works.
      closeSocket(socket, CLOSE.replaced, "this socket is not the link");
      return;
    }
    if (typeof message === "string") return;
    link.heardAt = Date.now();
    try {
      link.streams.receive(new Uint8Array(message));
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.#drop(link, CLOSE.protocolError, error.message);
    }
  }

  override webSocketClose(socket: WebSocket, code: number): void {
    const isGoodbye = code === CLOSE.goodbye;
    const reason = isGoodbye ? "the agent said goodbye" : `its socket was closed with ${code}`;
    if (this.#link?.socket === socket) this.#onLost(this.#link, reason, isGoodbye);
    // 1005 and 1006 stand for "no code" and may not be sent back (RFC 6455, 7.4.1).
    socket.close(code === 1005 || code === 1006 ? CLOSE.goodbye : code);
  }

  override webSocketError(socket: WebSocket): void {
    if (this.#link?.socket === socket) this.#onLost(this.#link, "its socket broke");
  }

  isUp(incarnation?: string): boolean {
    if (incarnation === undefined) return this.#welcomed() !== undefined;
    // The workspace hears of a link before its agent is welcomed.
    return this.#live()?.identity.incarnation === incarnation;
  }

  cutRevoked(): void {
    this.#isRevoked = true;
    if (this.#link !== undefined) this.#drop(this.#link, CLOSE.revoked, REVOKED);
    for (const wake of this.#awaitingLink) wake();
    this.#watchers.end();
    // The runtime alone has the sockets that it couples. They end with this object.
    if (this.#hasCoupled) setTimeout(() => this.ctx.abort("its box was revoked"), LAST_WORD_MS);
  }

  clientsHalfClosed(connections: readonly string[]): void {
    this.#clients.halfClosed(connections);
  }

  async notify(operation: BoxNews): Promise<boolean> {
    const link = this.#welcomed();
    if (link === undefined) return false;
    const notification = new Notification();
    const head = JSON.stringify(operationHead(operation, {}));
    notification.start(link.streams.open(head, NO_BODY, true, notification));
    this.#watchLink();
    return await notification.heard;
  }

  async #open(request: Request): Promise<Response> {
    if (this.#isLeftOut(request)) {
      await this.#dropBody(request);
      return noLink("link_away");
    }
    const link = this.#welcomed() ?? (await this.#linkFor(request));
    if (link instanceof Response) return link;
    if (this.env.POSTERN_ONE_ISOLATE === "1") this.#publishQueue(link.identity);
    const head = request.headers.get(HEAD) ?? "";
    const isWhole = request.headers.has(WHOLE);
    const body = isWhole ? new Uint8Array(await request.arrayBuffer()) : NO_BODY;
    const isCall = shareOf(request) !== undefined;
    const name = isCall ? () => nameOf(head) : undefined;
    const response = this.#streamResponse(request, name, { mayPark: isCall });
    const carried = body.length <= link.streams.requestWindow ? body : NO_BODY;
    const end = request.body === null || (isWhole && carried === body);
    response.start(link.streams.open(head, carried, end, response, shareOf(request)));
    if (!end) {
      if (isWhole) void response.sendBytes(body);
      else if (request.body !== null) void response.sendBody(request.body, this.env, head);
    }
    this.#watchLink();
    return await response.response;
  }

  /** Waits for the link; a refusal where it does not come, or the client has left meanwhile. */
  async #linkFor(request: Request): Promise<LinkConnection | Response> {
    const connection = request.headers.get(CONNECTION);
    const forget = connection === null ? undefined : watchCall(connection);
    const link = await this.#awaitLink(request);
    forget?.();
    const isGone = connection !== null && hasLeft(connection);
    if (link !== undefined && !isGone) return link;
    const refusal = isGone ? clientLeft() : noLink(this.#absence);
    await this.#dropBody(request);
    return refusal;
  }

  /** Reads the body of a request that is refused, so that its client gets the refusal. */
  async #dropBody({ body }: Request): Promise<void> {
    if (body === null || this.env.POSTERN_ONE_ISOLATE !== "1") return;
    await drainBody(body.getReader({ mode: "byob" }));
  }

  async #attach(request: Request): Promise<Response> {
    // Read before the wait, and not for it: of a client that leaves meanwhile the agent is to hear.
    const isGone = request.signal.aborted;
    if (!isGone && this.#welcomed() === undefined) await this.#hearOfRevocation();
    const link = this.#welcomed() ?? (isGone ? undefined : await this.#awaitLink(request, false));
    if (link === undefined) return this.#isRevoked ? revokedBox() : noLink(this.#absence);
    const text = request.headers.get(HEAD) ?? "";
    const { offset, ...name } = parseAttach(text);
    const response = this.#streamResponse(request, () => name, { offset });
    response.start(link.streams.attach(text, response, shareOf(request)));
    this.#watchLink();
    return await response.response;
  }

  /** An object that is younger than the revocation of its box was not told of it. */
  async #hearOfRevocation(): Promise<void> {
    if (this.#isRevoked || this.#lostAt !== undefined) return;
    const isEnrolled = await this.#enrolment.isEnrolled();
    // It may have been enrolled anew, and be here.
    if (!isEnrolled && this.#link === undefined) this.cutRevoked();
  }

  async #watchCall(request: Request): Promise<Response> {
    const link = this.#welcomed() ?? (await this.#awaitLink(request));
    if (link === undefined) return noLink(this.#absence);
    this.#watchedBox = link.identity;
    return await this.#watchers.watch(request.headers.get(HEAD) ?? "");
  }

  /** Asks the agent over this link, else over another one of its box. */
  async #askAgent(head: string): Promise<AgentAnswer> {
    const link = this.#welcomed();
    if (link !== undefined) {
      const question = new AgentQuestion();
      question.start(link.streams.open(head, NO_BODY, true, question));
      this.#watchLink();
      return await question.answer;
    }
    return this.#watchedBox === undefined
      ? undefined
      : await askOverOthers(this.env, this.#watchedBox, head);
  }

  #publishQueue({ workspace, box, link }: LinkIdentity): void {
    const taking = this.#claimable.publish(linkName(workspace, box, link));
    if (taking !== undefined) this.ctx.waitUntil(taking);
  }

  async #claim(request: Request): Promise<Response> {
    const callId = request.headers.get(HEAD) ?? "";
    const call = this.#claimable.find(callId);
    if (call === undefined) return unknownCall();
    const mayPark = !request.headers.has(KNOWN_PARKED);
    const key = request.headers.get(KEY);
    const name = { callId, ...(key !== null && { key }) };
    const response = this.#streamResponse(request, () => name, { mayPark });
    call.claim(response);
    return await response.response;
  }

  /**
   * @param call absent for an operation
   * @param offset bytes of the body that the attempt leaves out
   * @param mayPark the Worker still has a copy of the request, which it lets go of when the call is parked
   */
  #streamResponse(
    request: Request,
    call: (() => CallName | undefined) | undefined,
    { offset = 0, mayPark = false },
  ): StreamResponse {
    // A call may be claimed while its link is away: its response goes on over the next one.
    const identity = this.#link?.identity ?? this.#lostIdentity;
    const share = shareOf(request);
    const resume: Resume = async (events, from) => {
      const name = call?.();
      if (name === undefined || identity === undefined) return undefined;
      const own: OwnLink = {
        identity,
        // Also for a client that has left meanwhile: the agent is to hear of it.
        returned: async (limitMs) => this.#welcomed() ?? (await this.#linkReturn(limitMs)),
        isOver: () => this.#lostAt === "gone" || this.#isRevoked,
      };
      return await attachAgain(this.env, own, name, events, from, share);
    };
    const connection = request.headers.get(CONNECTION);
    let forget = (): void => undefined;
    let uncount = forget;
    const response = new StreamResponse(request, this.#deadlines, {
      patienceMs: patienceOf(request),
      offset,
      ...(call !== undefined && { callId: () => call()?.callId }),
      resume: this.env.POSTERN_ONE_ISOLATE === "1" ? resume : undefined,
      onPark: mayPark ? (stream) => this.#hold(call?.()?.callId, stream) : undefined,
      onStreaming: () => {
        if (share !== undefined && identity !== undefined)
          uncount = streamingResponses.add(identity.workspace);
      },
      onOver: () => {
        forget();
        uncount();
      },
    });
    if (connection !== null && identity !== undefined) {
      forget = this.#clients.watch(connection, identity, response);
    }
    return response;
  }

  /** A parked call waits for its Worker, which claims it. An operation is never parked, but for a hostile agent. */
  #hold(callId: string | undefined, stream: Stream): void {
    if (callId === undefined) stream.cancel();
    else this.#claimable.hold(callId, stream);
  }

  async #openWebSocket(request: Request): Promise<Response> {
    if (this.#isLeftOut(request)) return noLink("link_away");
    const link = this.#welcomed() ?? (await this.#linkFor(request));
    if (link instanceof Response) return link;
    const nonce = request.headers.get(NONCE) ?? "";
    const connection = request.headers.get(CONNECTION);
    let unwatch = (): void => undefined;
    const dial = new PendingDial(
      request,
      this.#deadlines,
      () => this.#dials.delete(nonce),
      () => unwatch(),
    );
    if (connection !== null) unwatch = this.#clients.watch(connection, link.identity, dial);
    this.#dials.set(nonce, dial);
    const head = request.headers.get(HEAD) ?? "";
    dial.start(link.streams.open(head, NO_BODY, true, dial, shareOf(request)));
    this.#watchLink();
    const response = await dial.response;
    this.#hasCoupled ||= response.webSocket !== null;
    return response;
  }

  async #acceptDial(request: Request): Promise<Response> {
    const dial = this.#dials.get(request.headers.get(NONCE) ?? "");
    if (dial === undefined) return new Response("no dial-back is awaited", { status: 404 });
    return await dial.arrived();
  }

  #acceptLink(request: Request): Response {
    this.#isRevoked = false;
    const held = this.#live();
    const identity: LinkIdentity = {
      workspace: request.headers.get(WORKSPACE) ?? "",
      box: request.headers.get(BOX) ?? "",
      serial: request.headers.get(SERIAL) ?? "",
      link: Number(request.headers.get(LINK)),
      links: 1,
      incarnation: request.headers.get(INCARNATION) ?? "",
      acceptedAt: Math.max(Date.now(), (held?.identity.acceptedAt ?? 0) + 1),
      version: 0,
    };
    if (held !== undefined) {
      if (held.identity.incarnation !== identity.incarnation) {
        const text = `another agent is connected as box ${identity.box}: stop it, or take another name`;
        return new Response(`postern: ${text}\n`, { status: 409 });
      }
      this.#forget(held, DIALLED_ANEW);
    }
    for (const socket of this.ctx.getWebSockets("link")) {
      closeSocket(socket, CLOSE.replaced, DIALLED_ANEW);
    }
    const { 0: theirs, 1: ours } = new WebSocketPair();
    this.ctx.acceptWebSocket(ours, ["link"]);
    ours.serializeAttachment(identity);
    this.#link = new LinkConnection(ours, identity, observerOf(this.env), this.#onControl);
    return new Response(null, { status: 101, webSocket: theirs });
  }

  readonly #onControl = (link: LinkConnection, type: number, text: string): void => {
    if (type === FRAME.HELLO) this.ctx.waitUntil(this.#welcome(link, text));
  };

  async #welcome(link: LinkConnection, text: string): Promise<void> {
    let hello: Hello;
    try {
      hello = parseHello(text);
    } catch (error) {
      this.#drop(link, CLOSE.protocolError, error instanceof Error ? error.message : "hello");
      return;
    }
    const common = PROTOCOL_VERSIONS.filter((version) => hello.versions.includes(version));
    if (common.length === 0) {
      const ours = PROTOCOL_VERSIONS.join(", ");
      const theirs = hello.versions.join(", ");
      const reason = `this gateway speaks protocol ${ours}, the agent ${theirs}: update the older one`;
      this.#drop(link, CLOSE.unsupportedVersion, reason);
      return;
    }
    const version = Math.max(...common);
    const { workspace, box, serial, link: number, incarnation } = link.identity;
    const { agent, links, endpoints: announced } = hello;
    let endpoints: Welcome["endpoints"] | undefined;
    try {
      link.greeted = true;
      const greeting = {
        box,
        serial,
        link: number,
        incarnation,
        agent,
        links,
        endpoints: announced,
      };
      endpoints = await greet(this.env, workspace, greeting, () => this.#link === link);
    } catch (error) {
      reportError(this.env, `registering ${box}`, error);
      this.#drop(link, CLOSE.internalError, "the gateway could not register the endpoints");
      return;
    }
    if (endpoints === undefined) {
      this.#drop(link, CLOSE.revoked, REVOKED);
      return;
    }
    link.welcome(version, links);
    if (this.#link !== link) return;
    const process = processName(this.env);
    link.streams.control(FRAME.WELCOME, {
      version,
      endpoints,
      ...(process !== undefined && { process }),
    } satisfies Welcome);
    for (const wake of this.#awaitingLink) wake();
  }

  /** The link, once its agent has said hello and been answered: before that nothing is agreed on. */
  #welcomed(): LinkConnection | undefined {
    const link = this.#live();
    return link === undefined || link.identity.version === 0 ? undefined : link;
  }

  /** The link, if it is there and was heard of lately. */
  #live(): LinkConnection | undefined {
    const link = this.#link;
    if (link === undefined) return undefined;
    if (link.socket.readyState !== WebSocket.READY_STATE_OPEN) {
      this.#onLost(link, "its socket is closed");
      return undefined;
    }
    const heardAt = this.#heardAt(link);
    if (Date.now() - heardAt <= KEEPALIVE_TIMEOUT_MS) return link;
    this.#drop(link, CLOSE.silent, "nothing was heard of the agent");
    // Its socket was not closed: an agent that is there, and had no processor for a while, dials again at once.
    if (link.greeted) this.#lostAt = heardAt + KEEPALIVE_TIMEOUT_MS;
    return undefined;
  }

  #heardAt({ socket, heardAt }: LinkConnection): number {
    const pinged = this.ctx.getWebSocketAutoResponseTimestamp(socket)?.getTime() ?? 0;
    return Math.max(heardAt, pinged);
  }

  /** The agent has missed more than one ping: it may not be there. */
  #isQuiet(link: LinkConnection): boolean {
    return Date.now() - this.#heardAt(link) > QUIET_MS;
  }

  /** A new call that another box may take does not go over a quiet link. */
  #isLeftOut({ headers }: Request): boolean {
    const link = headers.has(OTHERS) ? this.#welcomed() : undefined;
    return link !== undefined && this.#isQuiet(link);
  }

  /** Why there is no link. */
  get #absence(): "no_link" | "link_away" | "link_unknown" {
    if (this.#lostAt === undefined) return "link_unknown";
    if (this.#lostAt === "gone") return "no_link";
    return Date.now() - this.#lostAt <= LATELY_MS ? "link_away" : "no_link";
  }

  /** Waits for the link as long as the request says. @param endsWithClient and no longer than for its client */
  async #awaitLink(request: Request, endsWithClient = true): Promise<LinkConnection | undefined> {
    const limitMs = this.#isRevoked ? 0 : this.#waitMs(request.headers.get(WAIT));
    const signal = endsWithClient ? request.signal : undefined;
    return limitMs === 0 ? undefined : await this.#linkReturn(limitMs, signal);
  }

  /** Waits for the link; undefined where it is not there in time, or the signal aborts before. */
  async #linkReturn(limitMs: number, signal?: AbortSignal): Promise<LinkConnection | undefined> {
    return await new Promise((resolve) => {
      const done = (): void => {
        endWait();
        this.#awaitingLink.delete(done);
        resolve(this.#welcomed());
      };
      const endWait = this.#deadlines.start(limitMs, done);
      signal?.addEventListener("abort", done);
      this.#awaitingLink.add(done);
    });
  }

  #waitMs(wait: string | null): number {
    switch (wait) {
      case null:
        return 0;
      case "lately":
        return this.#absence === "link_away" ? LINK_RETURN_MS : 0;
      case "seen":
        return this.#absence === "no_link" ? 0 : LINK_RETURN_MS;
      default:
        return Number(wait);
    }
  }

  /** While streams are open, a silent link is noticed even if no new request comes. */
  #watchLink(): void {
    if (this.#watch !== null) return;
    this.#watch = setInterval(() => {
      const link = this.#live();
      if (link !== undefined && link.streams.streams > 0) return;
      clearInterval(this.#watch);
      this.#watch = null;
      // A timer that is left would keep the object from hibernating.
      this.#deadlines.trim();
    }, KEEPALIVE_INTERVAL_MS);
  }

  #drop(link: LinkConnection, code: number, reason: string): void {
    closeSocket(link.socket, code, reason);
    this.#onLost(link, reason);
  }

  /** @param reason for the operator @param isGoodbye the agent has ended, and said so */
  #onLost(link: LinkConnection, reason: string, isGoodbye = false): void {
    if (this.#link !== link) return;
    // Before the streams hear of the loss: they ask whether the link will be back.
    if (link.greeted) this.#lostAt = isGoodbye ? "gone" : Date.now();
    this.#forget(link, reason);
    if (!link.greeted) return;
    const { workspace, box, link: number, incarnation } = link.identity;
    const gone = { box, link: number, incarnation };
    const told = workspaceStub(this.env, workspace).linkLost(gone, isGoodbye);
    // A caller that must be sure asks this object (contracts/stubs.ts).
    this.ctx.waitUntil(told.catch((error) => reportError(this.env, `telling of ${box}`, error)));
  }

  #forget(link: LinkConnection, reason: string): void {
    this.#link = undefined;
    this.#lostIdentity = link.identity;
    link.end(reason);
  }
}

/** Milliseconds that the client of this request waits; undefined: for ever. */
function patienceOf(request: Request): number | undefined {
  const milliseconds = Number(request.headers.get(PATIENCE) ?? Number.NaN);
  return milliseconds >= 0 ? milliseconds : undefined;
}

/** The endpoint of this request's call; undefined for an operation. */
function shareOf(request: Request): string | undefined {
  return request.headers.get(SHARE) ?? undefined;
}

/** The name of the call that a head opens; undefined for an operation, which nobody can attach to. */
function nameOf(head: string): CallName | undefined {
  const opened = parseOpenHead(head);
  if (!("callId" in opened)) return undefined;
  const { callId, key } = opened;
  return { callId, ...(key !== undefined && { key }) };
}
