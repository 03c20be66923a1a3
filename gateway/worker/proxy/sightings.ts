/**
 * The memory that an isolate has of boxes: when each was found away or connected, and the load that it told. A box that was
 * found away is left out until a call reaches it again; one call in a while tries. And how many calls may be sent again.
 */
import { BoxLoad, type SeenBox } from "../../../routing/balancing.ts";
import { RetryBudget } from "../../../routing/retry-budget.ts";
import { distanceOf, type EntryRegions } from "../../../routing/regions.ts";
import type { Env } from "../../contracts/env.ts";
import { LATELY_MS } from "../../contracts/link.ts";
import type { BoxPlace } from "../../contracts/names.ts";

/** A box that was found away is tried by one call in this time, and by the others last. */
const PROBE_MS = 1_000;

/** Boxes, and loads, that an isolate remembers; then it starts over. */
const MAX_REMEMBERED = 10_000;

/** When an isolate last found a box connected, in milliseconds of the epoch, and whether it was away since. */
export class Sighting {
  #upAt: number;
  #isAway = false;
  #probedAt = 0;

  constructor(upAt: number) {
    this.#upAt = upAt;
  }

  /** It was connected a moment ago. */
  get wasUp(): boolean {
    return Date.now() - this.#upAt <= LATELY_MS;
  }

  /** It was found away, and it is no time to see whether it is back. */
  get isAway(): boolean {
    return this.#isAway && Date.now() - this.#probedAt < PROBE_MS;
  }

  /** A call goes there now. */
  onTried(): void {
    if (this.#isAway) this.#probedAt = Date.now();
  }

  onUp(): void {
    this.#upAt = Date.now();
    this.#isAway = false;
  }

  onAway(): void {
    this.#upAt = Number.NEGATIVE_INFINITY;
    this.#isAway = true;
    this.#probedAt = Date.now();
  }
}

/** By workspace and box. */
const sightings = new Map<string, Sighting>();

/** By workspace, box and endpoint. */
const loads = new Map<string, BoxLoad>();

/** By workspace and endpoint. */
const retries = new Map<string, RetryBudget>();

/** When the isolate first asked for a sighting, in milliseconds of the epoch. */
let firstAskedAt: number | undefined;

export function sightingOf(env: Env, workspace: string, box: string): Sighting {
  const key = `${workspace}/${box}`;
  const known = sightings.get(key);
  if (known !== undefined) return known;
  if (sightings.size >= MAX_REMEMBERED) sightings.clear();
  const upAt = hasJustRestarted(env) ? Date.now() : Number.NEGATIVE_INFINITY;
  const sighting = new Sighting(upAt);
  sightings.set(key, sighting);
  return sighting;
}

/** @param share the endpoint's (routing/wire/stream-shares.ts) */
export function loadOf(workspace: string, box: string, share: string): BoxLoad {
  const key = `${workspace}/${box}/${share}`;
  const known = loads.get(key);
  if (known !== undefined) return known;
  if (loads.size >= MAX_REMEMBERED) loads.clear();
  const load = new BoxLoad();
  loads.set(key, load);
  return load;
}

/** @param share the endpoint's; the empty text stands for operations */
export function retriesOf(workspace: string, share: string): RetryBudget {
  const key = `${workspace}/${share}`;
  const known = retries.get(key);
  if (known !== undefined) return known;
  if (retries.size >= MAX_REMEMBERED) retries.clear();
  const budget = new RetryBudget();
  retries.set(key, budget);
  return budget;
}

/** A box of an endpoint, as a call sees it that entered here. */
export function viewOf(
  env: Env,
  {
    workspace,
    share = "",
    entry = [],
  }: { workspace: string; share?: string | undefined; entry?: EntryRegions | undefined },
  { box, region = "" }: BoxPlace,
): SeenBox {
  const { isAway } = sightingOf(env, workspace, box);
  const distance = distanceOf(entry, region);
  return { ...loadOf(workspace, box, share).standing(Date.now()), isAway, distance };
}

/**
 * Whether the gateway's process began a moment ago: Worker and objects are in one isolate then, and both have
 * forgotten which boxes were there. The boxes dial again within a second.
 */
function hasJustRestarted(env: Env): boolean {
  if (env.POSTERN_ONE_ISOLATE !== "1") return false;
  const now = Date.now();
  firstAskedAt ??= now;
  return now - firstAskedAt <= LATELY_MS;
}
