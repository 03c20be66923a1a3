/**
 * Status events of a call, as text/event-stream (HTML, "Server-sent events"): which changes are worth one, and its text.
 * Pure.
 */
import type { CallStatusReport } from "./wire/call-descriptions.ts";

/** An expected end that moves by less than this, or by less than a tenth of the time until then, is no news. */
const ETA_MOVED_MS = 1_000;

/** A comment: it keeps a silent connection open, and shows that it is. */
export const HEARTBEAT = ": waiting\n\n";

/** A client that lost the stream comes back after 2 s. */
export const EVENTS_BEGIN = "retry: 2000\n\n";

/** The call has ended: no other event follows. */
export function isFinal({ status }: Pick<CallStatusReport, "status">): boolean {
  return status !== "pending" && status !== "running";
}

/** The last event of a call that its box does not know any more. */
export function lostReport(last: CallStatusReport): CallStatusReport {
  const { callId, elapsedMs } = last;
  return { callId, status: "lost", position: 0, elapsedMs };
}

/** Whether a watcher who was told `before` does not know what `now` says. */
export function isNews(before: CallStatusReport | undefined, now: CallStatusReport): boolean {
  if (before === undefined) return true;
  if (before.status !== now.status || before.position !== now.position) return true;
  if (before.etaMs === undefined || now.etaMs === undefined) return before.etaMs !== now.etaMs;
  const movedMs = Math.abs(before.elapsedMs + before.etaMs - (now.elapsedMs + now.etaMs));
  return movedMs > Math.max(ETA_MOVED_MS, now.etaMs / 10);
}

export function statusEvent({
  callId,
  status,
  position,
  etaMs,
  elapsedMs,
}: CallStatusReport): string {
  const data = {
    call_id: callId,
    status,
    position,
    eta_seconds: etaMs === undefined ? null : tenths(etaMs),
    elapsed_seconds: tenths(elapsedMs),
  };
  return `event: status\ndata: ${JSON.stringify(data)}\n\n`;
}

/** Seconds, to a tenth. */
function tenths(ms: number): number {
  return Math.round(ms / 100) / 10;
}
