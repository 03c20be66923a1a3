/**
 * What becomes of a version of an app, as a table: where it stands, what happens to it, where it stands
 * then. And when a candidate may take over, from what its boxes say. Decides only.
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

/** What a box said of a version last. */
export interface BoxProgress {
  readonly box: string;
  readonly connected: boolean;
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
 * A candidate fails with the first box that it fails on, connected or not, and is ready when every box
 * that is connected is. One that is away gets it when it is back; without any there is nobody to serve.
 */
export function judge(boxes: readonly BoxProgress[]): Judgement {
  const failed = boxes.find(({ state }) => state === "failed");
  if (failed !== undefined) {
    const { box, detail, lines } = failed;
    return { kind: "failed", box, detail, lines };
  }
  const connected = boxes.filter((box) => box.connected);
  const ready = connected.every(({ state }) => state === "ready" || state === "serving");
  return connected.length > 0 && ready ? { kind: "ready" } : { kind: "wait" };
}
