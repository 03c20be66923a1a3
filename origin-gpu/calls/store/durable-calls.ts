/**
 * The durable calls of one agent, on the box's disk. The journal has the calls, the result store their responses,
 * and the request store the requests of calls that wait. After a kill of the agent, the next agent runs the calls
 * whose requests were saved. A call that may have run is lost, and is never run again.
 */
import { join } from "node:path";
import type { Observer } from "../../../base/observer.ts";
import { GIB, HOUR_MS, MINUTE_MS } from "../../../base/units.ts";
import type { ResponseHead } from "../../../routing/wire/heads.ts";
import type { Failure } from "../../../routing/wire/messages.ts";
import type { Fingerprint } from "../fingerprint.ts";
import type { RequestBody } from "../request-body.ts";
import type { CallDescription } from "../../../routing/wire/call-descriptions.ts";
import {
  type CallEnd,
  describeEnded,
  type EndedCursor,
  type EndedPage,
  failureOf,
  pageOfEnded,
} from "./ended-calls.ts";
import { damageNotices } from "./damaged-files.ts";
import { DiskRoom } from "./disk-room.ts";
import { type Files, REAL_FILES } from "./files.ts";
import { describeDamage, Journal } from "./journal.ts";
import { isOpen, type JournalEntry } from "./journal-record.ts";
import { RequestStore } from "./request-store.ts";
import type { ResultSpool } from "./result-spool.ts";
import { type ReadableResult, ResultStore } from "./result-store.ts";
import { inOrderOfArrival, isAwaited, type LeftCall } from "./left-calls.ts";
import type { WaitingCall } from "./waiting-call.ts";

/** Disk that stored responses of one agent may take; beyond it the oldest complete ones are evicted. */
const RESULTS_QUOTA_BYTES = 10 * GIB;

/** How often expired calls are forgotten. */
const SWEEP_INTERVAL_MS = MINUTE_MS;

/** How long a call that an agent left open is remembered: as long as any stored response can be. */
const LEFT_OPEN_TTL_MS = 7 * 24 * HOUR_MS;

/** The end of a call that this agent does not run: its stored response, or its failure. */
export type EndedCall =
  | { kind: "result"; result: ReadableResult }
  | { kind: "failed"; failure: Failure }
  /** It was never durable here, or is forgotten. */
  | { kind: "unknown" };

/** A call that is to become durable. */
export interface AcceptedRequest {
  callId: string;
  endpoint: string;
  method: string;
  path: string;
  /** Milliseconds since its client began it. */
  ageMs?: number;
  /** The scope of its Idempotency-Key. */
  key?: string | undefined;
  /** Where its body is whole already. */
  fingerprint?: Fingerprint | undefined;
  /** An app has its request already. */
  started?: boolean;
}

export interface DurableCallsOptions {
  directory: string;
  observer: Observer;
  quotaBytes?: number;
  files?: Files;
}

interface Stores {
  readonly room: DiskRoom;
  readonly journal: Journal;
  readonly results: ResultStore;
  readonly requests: RequestStore;
}

export class DurableCalls {
  readonly room: DiskRoom;
  readonly #requests: RequestStore;
  readonly #observer: Observer;
  readonly #journal: Journal;
  readonly #results: ResultStore;
  /** Calls that an earlier agent left waiting, until they are taken. */
  #waiting: readonly LeftCall[] = [];
  readonly #sweeper: ReturnType<typeof setInterval>;
  /** Responses that were evicted before their time, since this was last reported. */
  readonly #evicted: { count: number };

  private constructor(
    observer: Observer,
    { room, journal, results, requests }: Stores,
    evicted: { count: number },
  ) {
    this.#requests = requests;
    this.#observer = observer;
    this.#evicted = evicted;
    this.room = room;
    this.#journal = journal;
    this.#results = results;
    this.#sweeper = setInterval(() => void this.#sweep(), SWEEP_INTERVAL_MS);
    this.#sweeper.unref();
  }

  /**
   * Opens the directory, for one agent at a time. Calls that an earlier agent saved wait on. Others that it
   * left open end: completed where the response is whole, lost where the app may have begun, else not
   * started. A disk that takes no write prevents nothing of that: it is reported.
   */
  static async open(options: DurableCallsOptions): Promise<DurableCalls> {
    const { directory, observer, quotaBytes = RESULTS_QUOTA_BYTES, files = REAL_FILES } = options;
    const evicted = { count: 0 };
    const results = await ResultStore.open({
      directory: join(directory, "results"),
      quotaBytes,
      now: Date.now,
      files,
      onDropped: (_callId, why) => {
        if (why === "evicted") evicted.count += 1;
      },
      ...damageNotices((line) => observer.notice(line)),
    });
    const journal = await Journal.open(join(directory, "journal"), {
      files,
      onDamaged: (damage) => observer.notice(describeDamage(damage)),
    });
    const nowMs = Date.now();
    const { store: requests, waiting } = await RequestStore.open(
      files,
      join(directory, "requests"),
      (call) => isAwaited(call, journal.entries, nowMs),
      (path) => observer.notice(`postern: ${path} is damaged: calls that waited there do not run`),
    );
    const room = new DiskRoom(files, directory, observer);
    const calls = new DurableCalls(observer, { room, journal, results, requests }, evicted);
    calls.#waiting = inOrderOfArrival(waiting, journal.entries, nowMs);
    const leftOpen = [...journal.entries.values()].filter(
      ({ callId, outcome }) => outcome === undefined && !requests.has(callId),
    );
    await Promise.all(leftOpen.map((entry) => calls.#endLeftOpen(entry)));
    return calls;
  }

  /** Hands out the calls that an earlier agent left waiting, in the order of their arrival, once. */
  takeWaiting(): readonly LeftCall[] {
    const waiting = this.#waiting;
    this.#waiting = [];
    return waiting;
  }

  /** Whether the request of a call is on the disk: while it waits, and until its response begins. */
  isSaved(callId: string): boolean {
    return this.#requests.has(callId);
  }

  /**
   * Saves the request of a call that waits.
   * @returns false where it could not be written; true for a body that is not whole, or too long to be saved
   */
  async save(call: Omit<WaitingCall, "body">, body: RequestBody): Promise<boolean> {
    const { callId } = call.head;
    if (!(await this.#reported(this.#requests.save(call, body)))) return false;
    // It may have ended meanwhile.
    if (!isOpen(this.#journal.entries.get(callId))) this.#requests.remove(callId);
    return true;
  }

  async #endLeftOpen({ callId, startedAtMs }: JournalEntry): Promise<void> {
    const complete = this.#results.get(callId) !== undefined;
    const kind = complete ? "completed" : startedAtMs === undefined ? "not_started" : "lost";
    await this.#reported(this.#end(callId, { kind }, LEFT_OPEN_TTL_MS));
  }

  /** Resolves when the call is in the journal: from then on it is known, whatever happens. */
  async accept({ ageMs, started, ...request }: AcceptedRequest): Promise<void> {
    const acceptedAtMs = Date.now();
    const openedAtMs = ageMs === undefined ? undefined : acceptedAtMs - ageMs;
    const startedAtMs = started === true ? acceptedAtMs : undefined;
    await this.#journal.accept({ ...request, acceptedAtMs, openedAtMs, startedAtMs });
  }

  /** Records what the request of a call under a key was: its body is whole. Never rejects. */
  async addFingerprint(callId: string, fingerprint: Fingerprint): Promise<void> {
    await this.#reported(this.#journal.addFingerprint(callId, fingerprint));
  }

  /** The call under this key, and what its request was, once that is known. */
  byKey(key: string): { callId: string; fingerprint: Fingerprint | undefined } | undefined {
    const entry = this.#journal.byKey(key);
    if (entry === undefined) return undefined;
    const { callId, fingerprint, outcome } = entry;
    if (outcome !== undefined && outcome.expiresAtMs <= Date.now()) {
      void this.forget(callId);
      return undefined;
    }
    return { callId, fingerprint };
  }

  /** Begins a stored response, and drops the request. @param onDrain the app may go on after `append` returned false */
  begin(
    callId: string,
    endpoint: string,
    head: ResponseHead,
    ttlMs: number,
    onDrain: () => void,
  ): ResultSpool {
    this.#requests.remove(callId);
    return this.#results.begin({ callId, endpoint, head }, { ttlMs, onDrain });
  }

  /**
   * Records that an app may have the call's first byte from here on.
   * @throws when it could not be recorded: then the call must not be given to an app
   */
  async start(callId: string): Promise<void> {
    await this.#journal.start(callId, Date.now());
  }

  /** Withdraws `start`: no byte of the call reached an app. Never rejects. */
  async requeue(callId: string): Promise<void> {
    await this.#reported(this.#journal.requeue(callId));
  }

  /** Records how a call ended. Never rejects. */
  async end(callId: string, how: CallEnd, ttlMs: number): Promise<void> {
    await this.#reported(this.#end(callId, how, ttlMs));
  }

  /**
   * Forgets a call that never began, and frees its key. Never rejects.
   * @returns false where the disk refused it: a later agent may find the call
   */
  async forget(callId: string): Promise<boolean> {
    this.#requests.remove(callId);
    return await this.#reported(this.#journal.expire(callId));
  }

  /** Looks up the end of a call that this agent does not run. */
  lookup(callId: string): EndedCall {
    const result = this.#results.get(callId);
    if (result !== undefined) return { kind: "result", result };
    const outcome = this.#journal.entries.get(callId)?.outcome;
    if (outcome === undefined) return { kind: "unknown" };
    return { kind: "failed", failure: failureOf(outcome) };
  }

  /** Lists calls that have ended, newest first. @param before where an earlier page ended */
  listEnded(limit: number, before?: EndedCursor): EndedPage {
    return pageOfEnded(this.#journal.entries, limit, before);
  }

  /** Describes a call that has ended. */
  inspect(callId: string): CallDescription | undefined {
    const entry = this.#journal.entries.get(callId);
    return entry === undefined ? undefined : describeEnded(entry);
  }

  /** Reports a write that the disk refused. The observer's sinks bound notices that repeat. */
  report(error: unknown): void {
    this.#observer.notice(`postern: durable calls cannot be recorded: ${String(error)}`);
  }

  async close(): Promise<void> {
    clearInterval(this.#sweeper);
    await this.#results.close();
    await this.#requests.close();
    await this.#journal.close();
  }

  async #end(callId: string, { kind, failure }: CallEnd, ttlMs: number): Promise<void> {
    this.#requests.remove(callId);
    const atMs = Date.now();
    const why = failure === undefined ? {} : { code: failure.code, detail: failure.detail };
    await this.#journal.end(callId, { kind, atMs, expiresAtMs: atMs + ttlMs, ...why });
  }

  async #sweep(): Promise<void> {
    await this.#reported(this.#results.sweep());
    await this.#reported(this.#journal.expireDue(Date.now()));
    const { count } = this.#evicted;
    if (count > 0)
      this.#observer.notice(`postern: ${count} stored responses were evicted: there is no room`);
    this.#evicted.count = 0;
  }

  /** @returns whether it was written */
  async #reported(write: Promise<unknown>): Promise<boolean> {
    try {
      await write;
      return true;
    } catch (error) {
      this.report(error);
      return false;
    }
  }
}
