/**
 * The clients that watch calls of one box by status events. One timer serves all of them, and one question to the agent
 * up to MAX_ASKED_CALLS calls, whoever watches each. A watcher has one write under way at most: what it misses
 * meanwhile it is told by the next event, which says all. While the link is away the watchers hear heartbeats.
 */
import {
  EVENTS_BEGIN,
  HEARTBEAT,
  isFinal,
  isNews,
  lostReport,
  statusEvent,
} from "../../../routing/status-events.ts";
import { type CallStatusReport, MAX_ASKED_CALLS } from "../../../routing/wire/call-descriptions.ts";
import { ProtocolError } from "../../../routing/wire/frames.ts";
import type { Failure } from "../../../routing/wire/messages.ts";
import { operationHead, parseOperationValue } from "../../../routing/wire/agent-operations.ts";
import { attemptResponse } from "../../contracts/attempt.ts";
import type { AgentAnswer } from "./agent-question.ts";

const ROUND_MS = 1_000;

/** No watcher hears nothing for 10 s. */
const HEARTBEAT_AFTER_MS = 8_000;

/** A client that has not taken a heartbeat for so long reads no more. */
const STALLED_MS = 30_000;

/** Of one link. Each takes some tens of kilobytes of the runtime's memory. */
const MAX_WATCHERS = 1_000;

const HEAD = JSON.stringify({ status: 200, headers: ["content-type", "text/event-stream"] });

const TOO_MANY: Failure = {
  code: "unavailable",
  detail: `${MAX_WATCHERS} clients watch calls of this box already`,
  retryAfter: 10,
};

const NO_ANSWER: Failure = {
  code: "unavailable",
  detail: "the box did not answer",
  retryAfter: 1,
};

const UNKNOWN: Failure = { code: "call_lost", detail: "the box does not know this call" };

export class CallWatchers {
  readonly #ask: (head: string) => Promise<AgentAnswer>;
  /** By call id. */
  readonly #watched = new Map<string, Set<StatusWatcher>>();
  #count = 0;
  #rounds: number | null = null;
  #isAsking = false;

  /** @param ask asks the agent, over whichever of the box's links is there */
  constructor(ask: (head: string) => Promise<AgentAnswer>) {
    this.#ask = ask;
  }

  /** An attempt whose response is the events, the first one at once. */
  async watch(callId: string): Promise<Response> {
    if (this.#count >= MAX_WATCHERS) return refusal(JSON.stringify(TOO_MANY));
    const reports = await this.#reportsOf([callId]);
    if (typeof reports === "string") return refusal(reports);
    const report = reports.get(callId);
    if (report === undefined) return refusal(JSON.stringify(UNKNOWN));
    const watcher = new StatusWatcher(report, () => this.#forget(callId, watcher));
    this.#count += 1;
    const others = this.#watched.get(callId);
    if (others === undefined) this.#watched.set(callId, new Set([watcher]));
    else others.add(watcher);
    watcher.tell(report);
    this.#rounds ??= setInterval(() => void this.#round(), ROUND_MS);
    return attemptResponse({
      kind: "response",
      head: HEAD,
      body: watcher.readable,
      resumable: false,
    });
  }

  /** The box has gone for good. */
  end(): void {
    for (const watchers of this.#watched.values()) for (const watcher of watchers) watcher.end();
  }

  #forget(callId: string, watcher: StatusWatcher): void {
    const watchers = this.#watched.get(callId);
    if (watchers?.delete(watcher) !== true) return;
    this.#count -= 1;
    if (watchers.size === 0) this.#watched.delete(callId);
    if (this.#count > 0) return;
    // A timer that is left would keep the object from hibernating.
    clearInterval(this.#rounds);
    this.#rounds = null;
  }

  async #round(): Promise<void> {
    for (const watchers of this.#watched.values()) for (const watcher of watchers) watcher.beat();
    if (this.#isAsking) return;
    this.#isAsking = true;
    try {
      const callIds = [...this.#watched.keys()];
      for (let from = 0; from < callIds.length; from += MAX_ASKED_CALLS) {
        await this.#tell(callIds.slice(from, from + MAX_ASKED_CALLS));
      }
    } finally {
      this.#isAsking = false;
    }
  }

  async #tell(callIds: readonly string[]): Promise<void> {
    const reports = await this.#reportsOf(callIds);
    if (typeof reports === "string") return;
    for (const callId of callIds) {
      const report = reports.get(callId);
      for (const watcher of this.#watched.get(callId) ?? []) {
        watcher.tell(report ?? lostReport(watcher.last));
      }
    }
  }

  /** The agent's reports by call id; a failure as JSON. */
  async #reportsOf(callIds: readonly string[]): Promise<Map<string, CallStatusReport> | string> {
    const question = operationHead("reportStatus", { callIds: [...callIds] });
    const answer = await this.#ask(JSON.stringify(question));
    if (answer === undefined) return JSON.stringify(NO_ANSWER);
    if (answer.kind === "refused") return answer.failure;
    try {
      const { calls } = parseOperationValue("reportStatus", answer.text);
      return new Map(calls.map((report) => [report.callId, report]));
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      return JSON.stringify(NO_ANSWER);
    }
  }
}

function refusal(failure: string): Response {
  return attemptResponse({ kind: "failed", cause: "refused", failure });
}

const encoder = new TextEncoder();

class StatusWatcher {
  readonly readable: ReadableStream<Uint8Array>;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly #onGone: () => void;
  #last: CallStatusReport;
  #hasBegun = false;
  #isWriting = false;
  #writtenAt = Date.now();

  constructor(report: CallStatusReport, onGone: () => void) {
    const { readable, writable } = new IdentityTransformStream();
    this.readable = readable;
    this.#writer = writable.getWriter();
    this.#writer.closed.catch(onGone);
    this.#onGone = onGone;
    this.#last = report;
  }

  /** The last report that it was told. */
  get last(): CallStatusReport {
    return this.#last;
  }

  tell(report: CallStatusReport): void {
    if (this.#isWriting || (this.#hasBegun && !isNews(this.#last, report))) return;
    const begin = this.#hasBegun ? "" : EVENTS_BEGIN;
    this.#last = report;
    this.#hasBegun = true;
    this.#write(begin + statusEvent(report));
    if (isFinal(report)) this.end();
  }

  /** Says that it is there, to a client that has heard nothing for long; gives up one that takes nothing. */
  beat(): void {
    const silentMs = Date.now() - this.#writtenAt;
    if (this.#isWriting) {
      if (silentMs > STALLED_MS) this.#giveUp();
    } else if (silentMs >= HEARTBEAT_AFTER_MS) this.#write(HEARTBEAT);
  }

  /** The stream ends behind what was written. */
  end(): void {
    this.#onGone();
    this.#writer.close().catch(() => undefined);
  }

  #giveUp(): void {
    this.#onGone();
    this.#writer.abort(new Error("the client takes no events")).catch(() => undefined);
  }

  #write(text: string): void {
    this.#isWriting = true;
    this.#writtenAt = Date.now();
    this.#writer.write(encoder.encode(text)).then(
      () => {
        this.#isWriting = false;
      },
      () => this.#onGone(),
    );
  }
}
