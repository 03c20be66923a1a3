/** One page of the list of an agent's calls. */
import type { CallCursor, CallDescription } from "../../routing/wire/call-descriptions.ts";
import type { Call } from "./call.ts";
import type { DurableCalls } from "./store/durable-calls.ts";

export interface CallPage {
  readonly calls: CallDescription[];
  /** The next page comes after it; the last one has none. */
  readonly next: CallCursor | undefined;
}

/** As `CallRegistry.list`. @param running in any order; those that wait too */
export function pageOfCalls(
  running: readonly Call[],
  durable: DurableCalls | undefined,
  limit: number,
  after: CallCursor | undefined,
): CallPage {
  const calls: CallDescription[] = [];
  if (after?.kind !== "ended") {
    for (const call of running.toSorted((one, other) => other.openedAt - one.openedAt)) {
      if (after !== undefined && call.openedAt >= after.openedAt) continue;
      calls.push(call.describe());
      if (calls.length === limit) {
        return { calls, next: { kind: "running", openedAt: call.openedAt } };
      }
    }
  }
  const before = after?.kind === "ended" ? after : undefined;
  const ended = durable?.listEnded(limit - calls.length, before);
  return { calls: [...calls, ...(ended?.calls ?? [])], next: ended?.next };
}
