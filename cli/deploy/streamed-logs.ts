/**
 * Shows what containers print from the start of a new version on, as `postern app logs` does. Lines of containers that
 * another version had by then are left out: they say how that one ends.
 */
import { LIST_BOXES } from "../../api/boxes.ts";
import { LIST_CONTAINERS } from "../../api/containers.ts";
import type { ApiClient } from "../client.ts";
import { CommandFailure } from "../failure.ts";
import { AppLogs } from "../logs/app-logs.ts";
import type { Following } from "../logs/follow-logs.ts";
import type { Watched } from "./follow.ts";

/** Ends with the signal. @param sinceMs when the version was about to start @throws {CommandFailure} */
export async function streamLogs(
  client: ApiClient,
  watched: Watched,
  { sinceMs, shown }: { readonly sinceMs: number; readonly shown: Following },
): Promise<void> {
  const { app, environment } = watched;
  const others = await containersOfOthers(client, watched);
  const range = { since: new Date(sinceMs).toISOString() };
  const following = withoutContainers(shown, others);
  await new AppLogs(client, { app, environment, range }, following).follow();
}

/** Prints all lines but those of these containers. */
function withoutContainers(shown: Following, containers: ReadonlySet<string>): Following {
  return {
    ...shown,
    print: async (line) => {
      if (!containers.has(line.container)) await shown.print(line);
    },
  };
}

/** Containers of the app's other versions. A box that can't be asked has none: its lines are shown rather than lost. */
async function containersOfOthers(
  client: ApiClient,
  { app, environment, version }: Watched,
): Promise<Set<string>> {
  const containers = new Set<string>();
  try {
    const boxes = await client.list(LIST_BOXES, {});
    const asked = boxes.filter(({ connected }) => connected);
    await Promise.all(
      asked.map(async ({ name: box }) => {
        const listed = await client.list(LIST_CONTAINERS, { path: { box } }).catch(none);
        for (const { container, endpoint, version: its } of listed) {
          const isOfApp = endpoint.startsWith(`${environment}/${app}/`);
          if (isOfApp && its !== version) containers.add(container);
        }
      }),
    );
  } catch (error) {
    none(error);
  }
  return containers;
}

function none(error: unknown): [] {
  if (error instanceof CommandFailure) return [];
  throw error;
}
