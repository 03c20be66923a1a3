/**
 * Asks boxes what `postern app list` shows of their containers and waiting requests. Boxes alone know it, and each
 * is asked when it is listed: no count is old, and a box at rest sends nothing.
 */
import type { Activities } from "../api/app-activity.ts";
import type { ApiApp } from "../api/apps.ts";
import { type ApiBoxEndpoint, LIST_BOX_ENDPOINTS } from "../api/boxes.ts";
import type { ApiClient } from "./client.ts";
import { CommandFailure } from "./failure.ts";
import { printNotice } from "./output.ts";

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
