/**
 * The states of an app's version and the events that change them, as one table. Also judges from the reports of
 * a candidate's boxes whether it may take over. Pure decisions: the callers act on them.
 */
import type { VersionState } from "../../../routing/wire/deployments.ts";
import type { VersionStatus } from "../../../api/version-status.ts";

export type VersionEvent = "start" | "ready" | "fail" | "overtake" | "stop";

const TRANSITIONS: Record<VersionStatus, Partial<Record<VersionEvent, VersionStatus>>> = {
  staged: { start: "candidate", fail: "failed", overtake: "superseded", stop: "stopped" },
  candidate: { ready: "serving", fail: "failed", overtake: "superseded", stop: "stopped" },
  serving: { overtake: "replaced", stop: "stopped" },
  failed: {},
  superseded: {},
  replaced: {},
  stopped: {},
};

/** Where a version stands after an event; undefined where the event means nothing to it. */
export function nextStatus(status: VersionStatus, event: VersionEvent): VersionStatus | undefined {
  return TRANSITIONS[status][event];
}

/** The last report of a box about a version, and whether the box is there. */
export interface BoxProgress {
  readonly box: string;
  readonly connected: boolean;
  /** Connected, or without a link for a moment only. */
  readonly awaited: boolean;
  /** null: nothing yet. */
  readonly state: VersionState | null;
  readonly detail: string;
  readonly lines: readonly string[];
}

export type Judgement =
  | { kind: "wait" }
  | { kind: "ready" }
  | { kind: "failed"; box: string; detail: string; lines: readonly string[] };

/**
 * A candidate fails with the first box that it fails on, connected or not. It is ready when every awaited box is, and
 * one of them is connected. A box that is away gets it when it is back.
 */
export function judge(boxes: readonly BoxProgress[]): Judgement {
  const failed = boxes.find(({ state }) => state === "failed");
  if (failed !== undefined) {
    const { box, detail, lines } = failed;
    return { kind: "failed", box, detail, lines };
  }
  const awaited = boxes.filter((box) => box.awaited);
  const ready = awaited.every(({ state }) => state === "ready" || state === "serving");
  return ready && boxes.some(({ connected }) => connected) ? { kind: "ready" } : { kind: "wait" };
}
