/** Watches a version until it serves or will not, and says what its boxes do meanwhile. */

import { type ApiVersion, GET_VERSION } from "../../api/versions.ts";
import { GET_APP } from "../../api/apps.ts";
import { setTimeout as delay } from "node:timers/promises";
import { type ApiClient, Unavailable } from "../client.ts";
import { CommandFailure } from "../failure.ts";

/** How often the API is asked: a version takes seconds to minutes. */
const POLL_MS = 300;

/** How long a gateway that can't be asked is borne: it starts again within seconds. */
const UNAVAILABLE_MS = 30_000;

export interface Watched {
  /** As the user called it. */
  readonly app: string;
  readonly environment: string;
  readonly version: number;
}

export interface Watching {
  readonly client: ApiClient;
  /** Resolves when somebody wants this command to end. */
  readonly stopped: Promise<void>;
  readonly notice: (line: string) => void;
}

/** Resolves with the version when it serves. @throws CommandFailure that says why it does not */
export async function untilServing(watched: Watched, watching: Watching): Promise<ApiVersion> {
  const { app, version: number } = watched;
  const { client, stopped, notice } = watching;
  const gone = stopped.then(() => undefined);
  const told = new Map<string, string>();
  let unavailableSinceMs: number | undefined;
  for (;;) {
    const version = await Promise.race([seen(client, watched), gone]);
    if (version === undefined) {
      throw new CommandFailure(
        `v${number} of ${app} goes on without this command; postern app history ${app} shows what becomes of it`,
      );
    }
    if (version instanceof Unavailable) {
      unavailableSinceMs ??= performance.now();
      if (performance.now() - unavailableSinceMs > UNAVAILABLE_MS) throw version;
    } else {
      unavailableSinceMs = undefined;
      tellNews(version, told, notice);
      if (version.status === "serving") return version;
      if (version.status !== "candidate") throw await failed(watched, version, watching);
    }
    await Promise.race([delay(POLL_MS), gone]);
  }
}

async function seen(
  client: ApiClient,
  { app, environment, version }: Watched,
): Promise<ApiVersion | Unavailable> {
  try {
    return await client.call(GET_VERSION, { path: { app, version }, query: { environment } });
  } catch (error) {
    if (error instanceof Unavailable) return error;
    throw error;
  }
}

/** Says what boxes say, where that is something new. */
function tellNews(
  { boxes }: ApiVersion,
  told: Map<string, string>,
  notice: (line: string) => void,
): void {
  for (const { name, connected, state, detail } of boxes) {
    const news = connected ? [state ?? "waits", detail].filter(Boolean).join(": ") : "is away";
    if (told.get(name) === news) continue;
    told.set(name, news);
    notice(`${name}: ${news}`);
  }
}

/** The failure for a version that will not serve: why, and which version serves now. Prints its last lines. */
async function failed(
  { app, environment }: Watched,
  { version, status, detail, lines }: ApiVersion,
  { client, notice }: Watching,
): Promise<CommandFailure> {
  for (const line of lines) notice(`  ${line}`);
  const now = await servingNow(client, { app, environment });
  const why = detail === "" ? status : `${status}: ${detail}`;
  return new CommandFailure(`v${version} of ${app} ${why}; ${now}`);
}

/** Which version serves, and why no box runs it. */
async function servingNow(
  client: ApiClient,
  { app, environment }: Pick<Watched, "app" | "environment">,
): Promise<string> {
  const query = { environment };
  const { version } = await client.call(GET_APP, { path: { app }, query });
  if (version === null) return "nothing serves";
  const { detail } = await client.call(GET_VERSION, { path: { app, version }, query });
  return detail === "" ? `v${version} serves` : `v${version} should serve, but ${detail}`;
}
