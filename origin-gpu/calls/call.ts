/**
 * One call, which outlives the streams that carry it. It owns its state, its request and the app's work on
 * it. Its response is streamed to one subscriber, or stored for any number of them. A call becomes durable
 * when it is opened so, or when its client stops waiting. From the response's first byte on that is fixed.
 */
import { getHeader } from "../../base/headers.ts";
import type { Observer } from "../../base/observer.ts";
import { ERRORS } from "../../routing/wire/errors.ts";
import type { RequestHead, ResponseHead } from "../../routing/wire/heads.ts";
import type { DeferredCall, Failure } from "../../routing/wire/messages.ts";
import type { Stream, StreamEvents } from "../../routing/wire/multiplexer.ts";
import { CallHead } from "./call-head.ts";
import { CallHistory } from "./call-history.ts";
import type { RequestBody } from "./request-body.ts";
import type { ResponseLessons } from "./response-lessons.ts";
import type { ResponseSession } from "../../routing/wire/sessions.ts";
import type { CallResponse, RespondingCall, Subscriber } from "./response/call-response.ts";
import type { Carrier } from "../../routing/wire/stream-writer.ts";
import type { SharedRoom } from "./shared-room.ts";
import { StoredResponse } from "./response/stored-response.ts";
import { StreamedResponse, type StreamedResponseContext } from "./response/streamed-response.ts";
import type { CallDescription, CallStatusReport } from "../../routing/wire/call-descriptions.ts";
import type { PoolLoad } from "../../routing/wire/pool-load.ts";
import type { CallStanding } from "../core/service-times.ts";
import { type CallEvent, callProgress, callStatus, isEnded } from "./states.ts";
import type { CallStorage } from "./store/call-storage.ts";

/** The next agent may be there by then. */
const RESTART_S = 5;

/** The app's work on a call: what the call may do to it. */
export interface AppWork {
  pause(): void;
  resume(): void;
  /** Ends the app's request; the app sees a disconnect. */
  abort(reason: string): void;
}

/** How the app's work on a call ended. */
export type Settlement =
  /** The app did everything. */
  | "completed"
  /** The sockets of its WebSocket are closed. The app may still work on it. */
  | "closed"
  /** The app broke the exchange. */
  | "broke"
  /** The app was told to stop. */
  | "given_up";

/** The services that a call uses: the clock, budgets, events, and the registry that forgets it. */
export interface CallContext extends StreamedResponseContext {
  readonly observer: Observer;
  readonly heads: SharedRoom;
  /** Tells a call, after PARK_AFTER_MS to twice that, that it may have waited by now. */
  aMoment(call: Call): void;
  /** Forgets a call that is over. */
  forget(call: Call): void;
  /** A body has become whole, or a call has failed: an agent that stops may have nothing to wait for any more. */
  onLessToDo(): void;
}

/** The endpoint's settings that apply to a call. */
export interface CallTerms {
  /** Milliseconds that a stored response can be read. */
  readonly resultTtlMs: number;
  /** Milliseconds that a transient call goes on when its client has left: 0, some, or Infinity. */
  readonly graceMs?: number;
}

/** Has calls, and tells where they stand. */
export interface Standings<Queued> {
  /** A client of the call was told that it goes on. */
  onPromised(queued: Queued): void;
  standingOf(queued: Queued): CallStanding | undefined;
  /** Of all its calls. */
  readonly load: PoolLoad;
}

/** How recording a call's start went. */
export type RecordedStart =
  /** It is on the disk: the app may have the call. */
  | "recorded"
  /** The call has ended, and does not start. */
  | "over"
  /** The disk refused it, and a client was told that the call goes on: it waits. */
  | "no_room"
  /** The disk refused it, and its client waits for the response as that of any other call: the app may have it. */
  | "transient";

export class Call implements RespondingCall {
  readonly callId: string;
  readonly body: RequestBody;
  /** It waited at an earlier agent. */
  readonly isRestored: boolean;
  /** The id of the container that works on it, once one does. */
  container: string | undefined;
  /** How its session came there; undefined where it belongs to none. */
  session: ResponseSession | undefined;
  /** Learns the session keys of its response. */
  lessons: ResponseLessons | undefined;
  readonly #head: CallHead;
  readonly #history: CallHistory;
  readonly #context: CallContext;
  /** Of the request, where changes of state are written: the head drops its headers. */
  readonly #traceparent: string | undefined;
  readonly #graceMs: number;
  readonly #storage: CallStorage | undefined;
  /** Its client asked for no response that is stored: where the disk refuses one, it is streamed after all. */
  readonly #mayStream: boolean;
  #response: CallResponse;
  #work: AppWork | undefined;
  #failure: Failure | undefined;
  /** Where it waits or runs, and as what: two fields cost a hundred thousand waiting calls less than a closure. */
  #pool: Standings<unknown> | undefined;
  #queued: unknown;
  #over = false;
  /** It was there for a moment. */
  #isOld = false;
  #reruns = 0;
  #entering: Promise<void> | undefined;
  /** Settles when the journal has that the call starts. */
  #starting: Promise<RecordedStart> | undefined;
  /** Nothing is to be recorded any more before the app has it: that may be so at any moment. */
  #mayStart = false;
  /** Settles when the disk has nothing of it any more that an earlier agent left. */
  #lettingGo: Promise<boolean> | undefined;
  /** Settles when the journal has that its last start is withdrawn. */
  #withdrawing: Promise<void> | undefined;
  #onSettled: ((how: Settlement) => void) | undefined;

  /**
   * @param storage without it the call cannot become durable
   * @param durable it is being written to the journal; `onJournaled` reports that it stands there
   * @param ageMs so long ago its client opened it at an earlier agent, where it waited
   */
  constructor(
    context: CallContext,
    { graceMs = 0 }: CallTerms,
    head: RequestHead,
    body: RequestBody,
    storage?: CallStorage,
    { durable = false, ageMs }: { readonly durable?: boolean; readonly ageMs?: number } = {},
  ) {
    this.callId = head.callId;
    this.body = body;
    this.isRestored = ageMs !== undefined;
    this.#head = new CallHead(head, context.heads);
    this.#context = context;
    const { observer } = context;
    this.#traceparent = observer.debug.calls ? getHeader(head.headers, "traceparent") : undefined;
    this.#graceMs = graceMs;
    this.#storage = storage;
    this.#mayStream = !durable;
    this.#response =
      durable && storage !== undefined
        ? new StoredResponse(this, storage)
        : new StreamedResponse(this, context, graceMs);
    const state = body.incomplete ? "receiving" : "queued";
    this.#history = new CallHistory(state, context.now() - (ageMs ?? 0));
    this.#observe("new", state, durable ? "opened durable" : "opened");
  }

  /** The head of the client's request. */
  get head(): RequestHead {
    return this.#head.value;
  }

  /** `<environment>/<app>/<function>` */
  get endpoint(): string {
    return this.#head.peek().endpoint;
  }

  /** Of the client's request, for lists. */
  get request(): { readonly method: string; readonly path: string } {
    return this.#head.describe();
  }

  /** There is no subscriber, and the response will not be stored. */
  get abandoned(): boolean {
    return this.#response.abandoned;
  }

  /** Resolves when the call is in the journal, or will not be; undefined where it is not on its way there. */
  get entering(): Promise<void> | undefined {
    return this.#entering;
  }

  /** A client was told that the call goes on, at a result URL. */
  get isPromised(): boolean {
    return this.#response instanceof StoredResponse && this.#response.isPromised;
  }

  /** Its response is or will be stored. */
  get isDurable(): boolean {
    return this.#response instanceof StoredResponse;
  }

  /** It has ended, and is kept for a client alone that may attach again. */
  get isKept(): boolean {
    return this.abandoned && isEnded(this.#history.state);
  }

  /** An app has its request, or had it. */
  get hasBegun(): boolean {
    return callProgress(this.#history.state) !== "not_sent";
  }

  get over(): boolean {
    return this.#over;
  }

  /** How often it was run again since its container had died, whichever version had it then. */
  get reruns(): number {
    return this.#reruns;
  }

  /** By the clock of its context, in milliseconds. */
  get openedAt(): number {
    return this.#history.openedAt;
  }

  /** Describes the call for `postern call inspect`. */
  describe(): CallDescription {
    const { state, changedAt } = this.#history;
    const now = this.#context.now();
    const ageMs = this.#history.elapsedMs(now);
    const elapsedMs = isEnded(state) ? this.#history.elapsedMs(changedAt) : ageMs;
    return {
      callId: this.callId,
      ...this.#head.describe(),
      status: this.#status,
      ...(this.container !== undefined && { container: this.container }),
      durable: this.isDurable,
      openedAtMs: Date.now() - ageMs,
      elapsedMs,
      timeline: this.#history.describe(),
    };
  }

  reportStatus(): CallStatusReport {
    const { isStarting = false } = this.#pool?.standingOf(this.#queued) ?? {};
    const status = this.#status;
    const starting = isStarting && status === "pending" ? { starting: true } : {};
    return { ...this.progress(), ...starting, status };
  }

  get #status(): CallDescription["status"] {
    const { state } = this.#history;
    // An expired call is known to the store alone.
    return state === "expired" ? "lost" : callStatus(state, this.#failure?.code);
  }

  /**
   * Takes the next state, where that is legal. Of two events that race, the later one is not.
   * @param reason for the operator
   */
  #advance(event: CallEvent, reason: string = event): boolean {
    const history = this.#history;
    const from = history.state;
    const isLegal = history.advance(event, this.#context.now());
    if (history.state !== from) this.#observe(from, history.state, reason);
    return isLegal;
  }

  #observe(from: string, to: string, reason: string): void {
    const { observer } = this.#context;
    if (!observer.debug.calls) return;
    const { endpoint } = this.#head.describe();
    const about = { callId: this.callId, endpoint, traceparent: this.#traceparent };
    observer.emit("call.state", { from, to, reason, ...about });
  }

  /** Calls back once, when the app has no more to do for the call. A later callback replaces an earlier one. */
  whenSettled(callback: (how: Settlement) => void): void {
    this.#onSettled = callback;
    if (this.#over) this.#settle("given_up");
  }

  #settle(how: Settlement): void {
    const onSettled = this.#onSettled;
    this.#onSettled = undefined;
    onSettled?.(how);
  }

  /** A client without a stream does not come back. */
  onClientsGone(): void {
    this.#response.onClientsGone();
  }

  /** Attaches a stream from `offset` on. A streamed response drops its older subscriber. */
  attach(stream: Stream, carrier: Carrier, offset: number): StreamEvents {
    const events = this.#response.attach({ stream, carrier, offset });
    if (this.#isWaiting) this.#context.aMoment(this);
    return events;
  }

  /** For the context: a call that still waits needs no stream for that. */
  onMoment(): void {
    this.#isOld = true;
    this.#parkStreams();
  }

  get #isWaiting(): boolean {
    return !this.#over && callProgress(this.#history.state) === "not_sent";
  }

  /** A body that is on its way needs its stream. */
  #parkStreams(): void {
    if (this.#isOld && this.#isWaiting && !this.body.incomplete) this.#response.park();
  }

  /** Whether a subscriber can be served from this byte on. */
  canResume(offset: number): boolean {
    return this.#response.canResume(offset);
  }

  receive(stream: Stream, bytes: Uint8Array, end: boolean): void {
    if (!this.body.comesOver(stream)) {
      // Another request under its key has the same body.
      stream.consume(bytes.length);
      return;
    }
    if (end) this.#advance("body_received");
    this.body.push(bytes, end);
    if (!end) return;
    this.#response.onBodyReceived();
    this.#parkStreams();
    this.#context.onLessToDo();
  }

  /** The call is on its way into the journal. @param decided resolves when it is there, or will not be */
  awaitJournal(decided: Promise<void>): void {
    this.#entering = decided.finally(() => {
      this.#entering = undefined;
    });
  }

  /** The call is in the journal and in its endpoint's queue: clients that will not wait may go. */
  onJournaled(): void {
    if (this.#response instanceof StoredResponse) this.#response.onJournaled();
  }

  /** An earlier agent accepted the call, or had its client, which attaches here. */
  onRestored(): void {
    if (this.#response instanceof StoredResponse) this.#response.onRestored();
    else if (this.#response instanceof StreamedResponse) this.#response.awaitAttach();
  }

  onPromised(): void {
    this.#pool?.onPromised(this.#queued);
  }

  async secure(): Promise<boolean> {
    // A call that finds a place at once has begun by then: its start is written anyway.
    await new Promise<void>((resolve) => {
      this.#context.soon(resolve);
    });
    if ((await this.#starting) === "recorded") return true;
    if (this.#over || callProgress(this.#history.state) !== "not_sent") return true;
    return await this.#save();
  }

  /** @returns false where the request could not be written; true for a body that is too long to be saved */
  async #save(): Promise<boolean> {
    const storage = this.#storage;
    if (storage === undefined || storage.isSaved) return true;
    return await storage.save(this.#head.peek(), this.body);
  }

  /**
   * Takes a call that waits out of this agent, for a later one. No client is told that it ends.
   * @param isFollowed the next agent is expected now: clients of calls that are not durable attach there
   * @returns false for a call that cannot be taken out; else `finishSuspending` is to be called
   */
  suspend(isFollowed = false): boolean {
    const isWaiting = this.#waitsForApp && !this.#over;
    const response = this.#response;
    const canBe =
      response instanceof StoredResponse ? response.isJournaled : isFollowed && this.#canFollow;
    if (!isWaiting || !canBe) return false;
    this.#over = true;
    this.#head.uncount();
    this.#settle("given_up");
    return true;
  }

  /** It never ran, and a file can hold all that it is. */
  get #canFollow(): boolean {
    return (
      this.#storage !== undefined && !this.hasBegun && this.#head.peek().websocket === undefined
    );
  }

  /** Its body is whole, and no app has it or none any more: such a call can be suspended. */
  get #waitsForApp(): boolean {
    const { state } = this.#history;
    return (state === "queued" || state === "retrying") && !this.body.incomplete;
  }

  /** Saves the request of a suspended call, if it is not on the disk. Where that fails it has not started, or is lost. */
  async finishSuspending(): Promise<void> {
    const storage = this.#storage;
    if (storage === undefined) return;
    if (!this.isDurable) {
      await this.#finishFollowing(storage);
      return;
    }
    await this.#withdrawing;
    const hasStarted = this.#reruns > 0 || (await this.#starting) !== undefined;
    await this.#save();
    const isLost = this.#reruns > 0 && !storage.isSaved;
    // A start that was being recorded does not follow, and the next agent may run again what ran here.
    if (hasStarted && !isLost) await storage.requeue();
    if (!storage.isSaved) await storage.abandon(isLost);
    this.body.abort();
  }

  /** Its stream ends with its link, and its client attaches at the next agent. */
  async #finishFollowing(storage: CallStorage): Promise<void> {
    const { method, path } = this.request;
    const ageMs = this.#history.elapsedMs(this.#context.now());
    const request = { method, path, ageMs };
    const isLetGo = (await this.#letGo()) !== false;
    // A user may have cancelled it meanwhile.
    if (isEnded(this.#history.state)) return;
    const head = this.#head.peek();
    if (!isLetGo || !(await storage.handOver(head, this.body, request, this.#graceMs))) {
      this.#response.abandon(notStarted("the agent stops", true), "not_sent");
    }
    this.#response.release();
    this.body.abort();
  }

  /** Has no effect on a response that has begun: it is on its way to its client. */
  makeDurable(subscriber: Subscriber): void {
    const storage = this.#storage;
    const streamed = this.#response;
    if (storage === undefined || this.#hasBegunToRespond) return;
    void Promise.all([storage.hasRoom(), this.#letGo()]).then(([hasRoom, isLetGo = true]) => {
      // Meanwhile it may have begun to, another stream may carry the call, and its client may have said so twice.
      const isLate = this.#hasBegunToRespond || subscriber.stream.closed;
      if (hasRoom && isLetGo && !isLate && this.#response === streamed) {
        this.#storeResponse(storage, subscriber);
      }
    });
  }

  get #hasBegunToRespond(): boolean {
    const { state } = this.#history;
    return this.#over || state === "responding" || isEnded(state);
  }

  #storeResponse(storage: CallStorage, subscriber: Subscriber): void {
    this.#response.release();
    const stored = new StoredResponse(this, storage);
    this.#response = stored;
    const { stream } = subscriber;
    stream.events = stored.attach(subscriber);
    stream.events.onDefer?.();
    const { method, path } = this.request;
    const ageMs = this.#history.elapsedMs(this.#context.now());
    const started = this.#mayStart || callProgress(this.#history.state) !== "not_sent";
    const accepted = storage.accept({ method, path, ageMs, started }).then((isAccepted) => {
      if (isAccepted) stored.onJournaled();
      else this.onUnsecured();
    });
    this.awaitJournal(accepted);
  }

  /**
   * The disk refuses what a later agent would need, and nobody was sent away. A client that can wait does so, as if its
   * call had stayed transient.
   */
  onUnsecured(): void {
    const stored = this.#response;
    if (!this.#mayStream || !(stored instanceof StoredResponse) || this.#hasBegunToRespond) return;
    const streamed = new StreamedResponse(this, this.#context, this.#graceMs);
    this.#response = streamed;
    for (const subscriber of stored.waiting) {
      subscriber.stream.events = streamed.attach(subscriber);
    }
    stored.release();
    // The journal has its acceptance, or would write it as soon as there is room.
    void this.#storage?.forget();
    if (streamed.abandoned) streamed.awaitAttach();
  }

  /** This pool has it, as `queued`, and says where it stands. */
  standsBy<Queued>(pool: Standings<Queued>, queued: Queued): void {
    this.#pool = pool;
    this.#queued = queued;
  }

  progress(): DeferredCall {
    const { position = 0, etaMs } = this.#pool?.standingOf(this.#queued) ?? {};
    return {
      callId: this.callId,
      status: this.#work === undefined ? "pending" : "running",
      position,
      ...(etaMs !== undefined && { etaMs: Math.round(etaMs) }),
      elapsedMs: this.#history.elapsedMs(this.#context.now()),
    };
  }

  /**
   * Counts the head of a call that has to wait, and packs it.
   * @returns the seconds until it may wait, where waiting heads have no room; an accepted call may
   */
  park(): number | undefined {
    if (this.#over) return undefined;
    const retryAfterS = this.#head.count(this.isPromised);
    if (retryAfterS !== undefined) return retryAfterS;
    this.#packLater(false);
    if (this.#response instanceof StoredResponse) void this.secure();
    return undefined;
  }

  shrink(): void {
    if (!this.body.incomplete) this.#packLater(true);
  }

  /** Later: a call that need not wait for long has begun by then. */
  #packLater(isSenderGone: boolean): void {
    this.#context.later(() => {
      if (this.#over || callProgress(this.#history.state) !== "not_sent") return;
      this.body.compact(isSenderGone);
      this.#head.pack();
    });
  }

  /**
   * Records that the app may have the call's first byte from here on. To be asked before `start`.
   * @returns undefined where nothing is to be recorded
   */
  recordStart(): Promise<RecordedStart> | undefined {
    const response = this.#response;
    if (this.#history.state === "retrying") return undefined;
    if (!(response instanceof StoredResponse)) return this.#startTransient();
    this.#starting = this.#recordStarted()?.then((isRecorded) => {
      // It may have failed meanwhile: its acceptance could not be recorded.
      if (this.#over || callProgress(this.#history.state) !== "not_sent") return "over";
      if (isRecorded) return "recorded";
      if (response.isPromised) return "no_room";
      this.onUnsecured();
      if (!this.isDurable) return "transient";
      const detail = "this box has no room to record that the call begins";
      this.fail({ code: "no_origin", detail, retryAfter: 60 });
      return "over";
    });
    return this.#starting;
  }

  /** A later agent must not run what may have run here. */
  #startTransient(): Promise<RecordedStart> | undefined {
    const lettingGo = this.#letGo();
    this.#mayStart = lettingGo === undefined;
    return lettingGo?.then((isLetGo) => {
      if (this.#over) return "over";
      this.#mayStart = isLetGo;
      if (isLetGo) return "recorded";
      const detail = "this box has no room to record that the call begins";
      this.fail({ code: "no_origin", detail, retryAfter: 60 });
      return "over";
    });
  }

  /**
   * A call that an earlier agent left, and whose client attaches here, stays on the disk until it begins, ends or is told
   * of. Where this agent is killed before that, a later one runs it.
   * @returns undefined where there is none; else false where the disk refused it
   */
  #letGo(): Promise<boolean> | undefined {
    if (this.isRestored && this.#mayStream) this.#lettingGo ??= this.#storage?.forget();
    return this.#lettingGo;
  }

  /** Behind the withdrawal of an earlier start, which would undo this one. */
  #recordStarted(): Promise<boolean> | undefined {
    const storage = this.#storage;
    if (storage === undefined || this.#withdrawing === undefined) return storage?.start();
    return this.#withdrawing.then(async () => await storage.start());
  }

  /** Withdraws `start`: certainly no byte of the request reached the app. A call that ran before waits for its next run. */
  withdraw(): void {
    if (this.#reruns > 0) {
      this.#awaitNextRun();
      return;
    }
    if (!this.#advance("requeued")) return;
    this.#work = undefined;
    this.#starting = undefined;
    this.#mayStart = false;
    this.#context.aMoment(this);
    const response = this.#response;
    if (response instanceof StoredResponse) this.#withdrawing = this.#requeue(response.isPromised);
  }

  /** The request first: a call that the journal has as waiting is run by the next agent, or ends without it. */
  async #requeue(isPromised: boolean): Promise<void> {
    if (isPromised) await this.#save();
    if (!isEnded(this.#history.state)) await this.#storage?.requeue();
  }

  /**
   * Ends this run of the app, which has not begun to respond, without ending the call: another run follows. The journal
   * keeps the first start: an agent that comes after a kill knows that the call may have run.
   * @returns false where the call is over, or its response has begun
   */
  retry(): boolean {
    if (!this.#awaitNextRun()) return false;
    this.#reruns += 1;
    return true;
  }

  #awaitNextRun(): boolean {
    if (!this.#advance("retried")) return false;
    this.#work = undefined;
    return true;
  }

  /** The app's request is on its way. */
  start(work: AppWork): void {
    this.#head.uncount();
    this.#work = work;
    this.#advance("started");
    // The window comes while the app works.
    this.#response.callBack();
    if (this.#over) work.abort("the call is over");
  }

  /**
   * Since when the app waits for the client, which takes none of the response or sends no more of the body. Undefined
   * while the app does not. By the clock of its context, in milliseconds.
   */
  get stalledSinceMs(): number | undefined {
    const { state, changedAt } = this.#history;
    if (this.#over) return undefined;
    if (state !== "running") return this.#response.stalledSinceMs;
    return this.body.awaitsSender ? Math.max(this.body.arrivedAt, changedAt) : undefined;
  }

  /** Ends a stalled call: others need its place. @param forS seconds that it was stalled, for client and operator */
  cut(forS: number): void {
    const meanwhile = `for ${forS} s while other requests waited`;
    if (this.#history.state !== "running") {
      this.cancel(`the client took nothing of the response ${meanwhile}`);
      return;
    }
    const detail = `the client sent nothing ${meanwhile}`;
    this.fail({ code: "upload_interrupted", detail });
    this.#work?.abort(detail);
  }

  pauseApp(): void {
    this.#work?.pause();
  }

  resumeApp(): void {
    this.#work?.resume();
  }

  /**
   * Begins the response with the app's head.
   * @param eager a stream of events: the head is sent at once, not with the first bytes of the body
   */
  respond(head: ResponseHead, eager: boolean): void {
    if (!this.#advance("answered")) return;
    const load = this.#askedLoad;
    // The app has it: from here on only a description needs a part of it.
    this.#head.dropHeaders();
    this.lessons?.onHead(head);
    const { session } = this;
    const told = { ...(load && { load }), ...(session && { session }) };
    const isPlain = load === undefined && session === undefined;
    this.#response.begin(isPlain ? head : { ...head, ...told }, eager);
  }

  /** The load that the gateway asked for with the call. A stored response is read when that is long past. */
  get #askedLoad(): PoolLoad | undefined {
    const isAsked = this.#head.value.mayRefuse !== undefined && !this.isDurable;
    return isAsked ? this.#pool?.load : undefined;
  }

  /** Appends to the response's body. */
  append(bytes: Uint8Array): void {
    if (this.#over) return;
    this.lessons?.onBody(bytes);
    this.#response.append(bytes);
  }

  /** Completes the response. */
  complete(): void {
    if (!this.#advance("completed")) return;
    this.lessons?.onEnd();
    this.#settle("completed");
    this.#response.complete();
  }

  /** Fails the call. Before the response's head the failure is the response, later it cuts the client. */
  fail(given: Failure): void {
    const failure = this.#history.state === "retrying" ? afterRuns(given) : given;
    const progress = callProgress(this.#history.state);
    if (!this.#advance("failed", `${failure.code}: ${failure.detail}`)) return;
    this.#settle(failure.code === "origin_error" ? "broke" : "given_up");
    this.#failure = failure;
    this.body.abort();
    this.#response.fail(failure, progress);
    this.#context.onLessToDo();
  }

  /** Finishes the call of a WebSocket whose sockets are relayed. Its place stays taken until they close. */
  detach(closed: Promise<Settlement>): void {
    const onSettled = this.#onSettled;
    this.#onSettled = undefined;
    void closed.then((how) => onSettled?.(how));
    this.finish();
  }

  cancel(reason: string): void {
    // It is over for this agent, and waits for the next one.
    const isSuspended = this.#over && this.#waitsForApp;
    if (this.#over && !isSuspended) return;
    // A call that is complete or failed only waits for its subscribers: then nothing but the wait ends.
    if (this.#advance("cancelled", reason)) this.#response.cancel(reason);
    if (isSuspended) {
      if (!this.isDurable) void this.#storage?.forget();
      this.#context.forget(this);
    }
    this.end(reason);
  }

  /** Ends the call: the agent stops. One that began is lost, another one has not started, and its client may come again. */
  abandon(reason: string, isFollowed = false): void {
    if (this.#over) return;
    const progress = callProgress(this.#history.state);
    const hasBegun = progress !== "not_sent";
    if (this.#advance(hasBegun ? "lost" : "not_started", reason)) {
      const failure: Failure = hasBegun
        ? { code: "call_lost", detail: reason }
        : notStarted(reason, isFollowed);
      this.#response.abandon(failure, progress);
    }
    this.end(reason);
  }

  end(reason: string): void {
    this.#advance("cancelled", reason);
    this.finish();
    this.#work?.abort(reason);
  }

  finish(): void {
    if (this.#over) return;
    this.#over = true;
    void this.#letGo();
    this.#head.uncount();
    this.#settle("given_up");
    this.#response.release();
    this.#context.forget(this);
    this.body.abort();
  }
}

/** The failure of a call that never began. */
function notStarted(detail: string, isFollowed: boolean): Failure {
  const failure: Failure = { code: "no_origin", detail, retryAfter: RESTART_S };
  return isFollowed ? { ...failure, followed: true } : failure;
}

/** The failure of a call that was run, and not run again: no code that says it never ran is right. */
function afterRuns(failure: Failure): Failure {
  if (ERRORS[failure.code].mayHaveRun) return failure;
  const detail = `its container died, and it was not run again: ${failure.detail}`;
  return { code: "call_lost", detail };
}
