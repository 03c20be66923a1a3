/**
 * The sums of an app over its boxes: its containers, its waiting requests and its last error, for the command and the
 * dashboard. Pure.
 */
import type { ApiApp } from "./apps.ts";
import type { ApiBoxEndpoint } from "./boxes.ts";

/** Containers, over all boxes that answered. */
interface ContainerCounts {
  readonly ready: number;
  readonly starting: number;
  readonly asleep: number;
  readonly draining: number;
  /** Those that have outlived SIGKILL, and keep what they hold. */
  readonly stuck: number;
  readonly failed: number;
}

export interface ActiveApp extends ApiApp {
  /** null where no box of the app answered. */
  readonly containers: ContainerCounts | null;
  /** Requests that wait for their turn or for a container; null where no box of the app answered. */
  readonly waiting: number | null;
}

/** By box. One that does not answer is absent. */
export type Activities = ReadonlyMap<string, readonly ApiBoxEndpoint[]>;

/** The app with its sums, and with what a box says of its containers where nothing else is wrong. */
export function withActivity(app: ApiApp, activities: Activities): ActiveApp {
  const answered = app.boxes.filter(({ name }) => activities.has(name));
  if (app.state === "stopped" || answered.length === 0) {
    return { ...app, containers: null, waiting: null };
  }
  const prefix = `${app.environment}/${app.name}/`;
  const sum = { ready: 0, starting: 0, asleep: 0, draining: 0, stuck: 0, failed: 0 };
  let waiting = 0;
  let [failure, error] = ["", ""];
  for (const { name: box } of answered) {
    for (const endpoint of activities.get(box) ?? []) {
      if (!endpoint.endpoint.startsWith(prefix)) continue;
      sum.ready += endpoint.ready;
      sum.starting += endpoint.starting;
      sum.asleep += endpoint.asleep;
      sum.draining += endpoint.draining;
      sum.stuck += endpoint.stuck;
      sum.failed += endpoint.failed;
      waiting += endpoint.waiting;
      if (endpoint.error === "") continue;
      const line = `${box}: ${endpoint.endpoint.slice(prefix.length)}: ${endpoint.error}`;
      // A failure says more than a container that is stuck.
      if (endpoint.failed > 0) failure ||= line;
      else error ||= line;
    }
  }
  return { ...app, last_error: app.last_error || failure || error, containers: sum, waiting };
}

/** `2 ready, 1 failed`; empty where no box said. */
export function shownCounts(counts: ContainerCounts | null): string {
  if (counts === null) return "";
  const present = Object.entries(counts).filter(([, count]) => count > 0);
  return present.map(([word, count]) => `${count} ${word}`).join(", ") || "none";
}

/** `2 serving, 1 starting, 1 away`: of connected boxes what they are at, and how many are not connected. */
export function shownBoxes(boxes: ApiApp["boxes"]): string {
  const counts = new Map<string, number>();
  for (const { connected, state } of boxes) {
    const word = connected ? (state ?? "waiting") : "away";
    counts.set(word, (counts.get(word) ?? 0) + 1);
  }
  return [...counts].map(([word, count]) => `${count} ${word}`).join(", ") || "none";
}
