/** Reads what the dashboard shows of a workspace: its lists, and what its connected boxes say. */
import { type ActiveApp, withActivity } from "../../api/app-activity.ts";
import type { ApiApp } from "../../api/apps.ts";
import type { ApiBox, ApiBoxEndpoint } from "../../api/boxes.ts";
import type { ApiCall } from "../../api/calls.ts";
import type { ApiEnvironment } from "../../api/environments.ts";
import type { ApiUsage } from "../../api/usage.ts";
import { type ApiReader, type ReadList, RefusedRequest } from "./api-reader.ts";

/** A workspace may have thousands of objects; the command lists them all. */
const MOST_ITEMS = 500;

/** Boxes that are asked each time. */
const MOST_ASKED_BOXES = 20;

const MOST_CALLS = 30;

/** A day's use changes slowly, and has a row for each token at each endpoint. */
const USAGE_EVERY_MS = 60_000;

export interface EndpointUsage {
  readonly endpoint: string;
  readonly requests: number;
  readonly containerSeconds: number;
  readonly refused: number;
}

/** A workspace as far as it is known. */
export interface WorkspaceReading {
  readonly environments: readonly string[];
  readonly apps: readonly ActiveApp[];
  readonly boxes: readonly ApiBox[];
  /** Newest first. */
  readonly calls: readonly ApiCall[];
  /** Of today, by UTC. */
  readonly usage: readonly EndpointUsage[];
  /** Say what is not in the lists, and why. */
  readonly notes: readonly string[];
}

interface BoxAnswers {
  readonly activities: ReadonlyMap<string, readonly ApiBoxEndpoint[]>;
  readonly calls: readonly ApiCall[];
  readonly notes: readonly string[];
}

const NO_ANSWERS: BoxAnswers = { activities: new Map(), calls: [], notes: [] };

export class WorkspaceReader {
  readonly #client: ApiReader;
  #answers = NO_ANSWERS;
  #usage: readonly EndpointUsage[] = [];
  #usageAt = -Infinity;

  constructor(client: ApiReader) {
    this.#client = client;
  }

  /** Reads everything once. Boxes may be slow: what the gateway itself says is told before. */
  async read(onReading: (reading: WorkspaceReading) => void): Promise<void> {
    const [environments, apps, boxes] = await Promise.all([
      this.#client.list<ApiEnvironment>("/environments", MOST_ITEMS),
      this.#client.list<ApiApp>("/apps", MOST_ITEMS),
      this.#client.list<ApiBox>("/boxes", MOST_ITEMS),
    ]);
    const reading = () => this.#reading(environments, apps, boxes);
    onReading(reading());
    const [answers] = await Promise.all([this.#askBoxes(boxes.items), this.#readUsage()]);
    this.#answers = answers;
    onReading(reading());
  }

  #reading(
    environments: ReadList<ApiEnvironment>,
    apps: ReadList<ApiApp>,
    boxes: ReadList<ApiBox>,
  ): WorkspaceReading {
    const { activities, calls, notes } = this.#answers;
    const isCut = environments.hasMore || apps.hasMore || boxes.hasMore;
    const cut = isCut ? [`A list has more than ${MOST_ITEMS} items; the command shows all.`] : [];
    return {
      environments: environments.items.map(({ name }) => name).toReversed(),
      apps: apps.items.map((app) => withActivity(app, activities)),
      boxes: boxes.items,
      calls,
      usage: this.#usage,
      notes: [...cut, ...notes],
    };
  }

  /** Each list asks one box after the other. */
  async #askBoxes(boxes: readonly ApiBox[]): Promise<BoxAnswers> {
    const connected = boxes.filter((box) => box.connected).map(({ name }) => name);
    const asked = connected.slice(0, MOST_ASKED_BOXES);
    const [endpoints, calls] = await Promise.all([
      this.#fromEach<ApiBoxEndpoint>(asked, "endpoints", MOST_ITEMS),
      this.#fromEach<ApiCall>(asked, "calls", MOST_CALLS),
    ]);
    const left = connected.length - asked.length;
    return {
      activities: endpoints.found,
      calls: [...calls.found.values()]
        .flat()
        .toSorted((one, other) => timeOf(other) - timeOf(one))
        .slice(0, MOST_CALLS),
      notes: [
        ...new Set([...endpoints.notes, ...calls.notes]),
        ...(left > 0
          ? [`${left} more connected boxes are not asked for containers and calls.`]
          : []),
      ],
    };
  }

  async #fromEach<Item>(
    boxes: readonly string[],
    what: "endpoints" | "calls",
    most: number,
  ): Promise<{ readonly found: Map<string, readonly Item[]>; readonly notes: readonly string[] }> {
    const found = new Map<string, readonly Item[]>();
    const notes: string[] = [];
    for (const box of boxes) {
      try {
        const path = `/boxes/${encodeURIComponent(box)}/${what}`;
        found.set(box, (await this.#client.list<Item>(path, most)).items);
      } catch (error) {
        // The box left just now, or is of an older version.
        if (!(error instanceof RefusedRequest) || error.status === 401) throw error;
        notes.push(`${box} does not answer: ${error.message}`);
      }
    }
    return { found, notes };
  }

  async #readUsage(): Promise<void> {
    if (performance.now() - this.#usageAt < USAGE_EVERY_MS) return;
    const day = new Date().toISOString().slice(0, "YYYY-MM-DD".length);
    const { items } = await this.#client.list<ApiUsage>(`/usage?since=${day}`, MOST_ITEMS);
    const sums = new Map<string, EndpointUsage>();
    for (const { endpoint, requests, container_seconds: seconds, refused } of items) {
      const sum = sums.get(endpoint);
      sums.set(endpoint, {
        endpoint,
        requests: requests + (sum?.requests ?? 0),
        containerSeconds: seconds + (sum?.containerSeconds ?? 0),
        refused: refused + (sum?.refused ?? 0),
      });
    }
    this.#usage = [...sums.values()];
    this.#usageAt = performance.now();
  }
}

/** A call of an older agent has no time, and comes last. */
function timeOf({ created_at: at }: ApiCall): number {
  return at === undefined ? 0 : Date.parse(at);
}
