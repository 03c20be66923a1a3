/**
 * Counts the containers and the waiting requests of apps for `postern app list`. Boxes alone know it, and each
 * is asked when it is listed: no count is old, and a box at rest sends nothing.
 */
import type { ApiApp } from "../api/apps.ts";
import { type ApiBoxEndpoint, LIST_BOX_ENDPOINTS } from "../api/boxes.ts";
import type { ApiClient } from "./client.ts";
import { CommandFailure } from "./failure.ts";
import { printNotice } from "./output.ts";

/** Containers, over all boxes that answered. */
interface ContainerCounts {
  readonly ready: number;
  readonly starting: number;
  readonly asleep: number;
  readonly draining: number;
  readonly failed: number;
}

interface ActiveApp extends ApiApp {
  /** null where no box of the app answered. */
  readonly containers: ContainerCounts | null;
  /** Requests that wait for their turn or for a container; null where no box of the app answered. */
  readonly waiting: number | null;
}

/** By box. One that does not answer is absent. */
type Activities = ReadonlyMap<string, readonly ApiBoxEndpoint[]>;

/** Asks each connected box of these apps, and says which did not answer. */
export async function activitiesOf(
  client: ApiClient,
  apps: readonly ApiApp[],
): Promise<Activities> {
  const connected = apps.flatMap(({ boxes }) => boxes.filter((box) => box.connected));
  const activities = new Map<string, ApiBoxEndpoint[]>();
  for (const box of new Set(connected.map(({ name }) => name))) {
    try {
      activities.set(box, await client.list(LIST_BOX_ENDPOINTS, { path: { box } }));
    } catch (error) {
      // An agent from before this question, or a box that left just now.
      if (!(error instanceof CommandFailure)) throw error;
      printNotice(`${box} does not say what its containers are at: ${error.message}`);
    }
  }
  return activities;
}

/** The app with its sums, and with the reason of a container's failure where nothing else is wrong. */
export function withActivity(app: ApiApp, activities: Activities): ActiveApp {
  const answered = app.boxes.filter(({ name }) => activities.has(name));
  if (app.state === "stopped" || answered.length === 0) {
    return { ...app, containers: null, waiting: null };
  }
  const prefix = `${app.environment}/${app.name}/`;
  const sum = { ready: 0, starting: 0, asleep: 0, draining: 0, failed: 0 };
  let waiting = 0;
  let error = "";
  for (const { name: box } of answered) {
    for (const endpoint of activities.get(box) ?? []) {
      if (!endpoint.endpoint.startsWith(prefix)) continue;
      sum.ready += endpoint.ready;
      sum.starting += endpoint.starting;
      sum.asleep += endpoint.asleep;
      sum.draining += endpoint.draining;
      sum.failed += endpoint.failed;
      waiting += endpoint.waiting;
      if (endpoint.error !== "") {
        error ||= `${box}: ${endpoint.endpoint.slice(prefix.length)}: ${endpoint.error}`;
      }
    }
  }
  return { ...app, last_error: app.last_error || error, containers: sum, waiting };
}

/** `2 ready, 1 failed`; empty where no box said. */
export function shownCounts(counts: ContainerCounts | null): string {
  if (counts === null) return "";
  const present = Object.entries(counts).filter(([, count]) => count > 0);
  return present.map(([word, count]) => `${count} ${word}`).join(", ") || "none";
}
