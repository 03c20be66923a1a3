/** The calls of this agent: what an earlier one stored, and the registry of those that come. */
import type { Observer } from "../base/observer.ts";
import { MIB } from "../base/units.ts";
import { COALESCE_MS, PARK_AFTER_MS } from "../routing/wire/limits.ts";
import type { Call } from "./calls/call.ts";
import { CallRegistry } from "./calls/call-registry.ts";
import { SharedRoom } from "./calls/shared-room.ts";
import { RingBudget } from "./calls/response/replay-ring.ts";
import { DurableCalls } from "./calls/store/durable-calls.ts";
import { leaveTombstones, takeTombstones } from "./calls/store/left-tombstones.ts";
import { Tombstones } from "./calls/tombstones.ts";

/** 250,000 calls with heads of 1 KiB, or 4,000 with the largest ones: more would take the memory that the box's apps need. */
const WAITING_HEADS_BYTES = 256 * MIB;

export interface OpenedCalls {
  readonly calls: CallRegistry;
  /** Closes what is stored, when all calls have ended. */
  readonly close: () => Promise<void>;
  /** Has the next agent know which calls came to this one. To be called once no more come. */
  readonly leave: () => Promise<void>;
}

export interface OpenCallsOptions {
  /** Without it no call is durable. */
  readonly directory: string | undefined;
  readonly observer: Observer;
  /** As in the agent's options. */
  readonly waitingHeadsBytes?: number | undefined;
}

/** Reads what is stored, which takes as long as there is much of it. */
export async function openCalls({
  directory,
  observer,
  waitingHeadsBytes = WAITING_HEADS_BYTES,
}: OpenCallsOptions): Promise<OpenedCalls> {
  const now = (): number => performance.now();
  const tombstones = new Tombstones();
  const earlier = directory === undefined ? undefined : await takeTombstones(directory);
  if (earlier !== undefined) tombstones.inherit(earlier, now());
  const durable =
    directory === undefined ? undefined : await DurableCalls.open({ directory, observer });
  const context = {
    now,
    soon: setImmediate,
    later: coalescer(),
    aMoment: moments(),
    rings: new RingBudget(),
    observer,
    heads: new SharedRoom(waitingHeadsBytes),
  };
  return {
    calls: new CallRegistry({ context, durable, tombstones }),
    close: async () => await durable?.close(),
    leave: async () => {
      const left = tombstones.leave(now());
      if (directory !== undefined && left !== undefined) await leaveTombstones(directory, left);
    },
  };
}

/** Tells the calls that asked since the last turn but one, PARK_AFTER_MS a turn: one timer for all. */
function moments(): (call: Call) => void {
  let young: Call[] = [];
  let due: Call[] = [];
  let isTurning = false;
  const turn = (): void => {
    for (const call of due) call.onMoment();
    due = young;
    young = [];
    isTurning = due.length > 0;
    if (isTurning) setTimeout(turn, PARK_AFTER_MS);
  };
  return (call) => {
    young.push(call);
    if (isTurning) return;
    isTurning = true;
    setTimeout(turn, PARK_AFTER_MS);
  };
}

/** Calls back all that asked within `COALESCE_MS` together: one timer, not one for each stream. */
function coalescer(): (callback: () => void) => void {
  let waiting: Set<() => void> | undefined;
  return (callback) => {
    if (waiting === undefined) {
      const group = (waiting = new Set());
      setTimeout(() => {
        waiting = undefined;
        for (const call of group) call();
      }, COALESCE_MS);
    }
    waiting.add(callback);
  };
}
