/**
 * The links that a call may be opened on, and the one loop that tries them. An isolate remembers which boxes
 * it found away or connected a moment ago: a box that is away is tried last, and one that was there a moment
 * ago is waited for. After a restart of a self-hosted gateway each box counts as one that was there.
 */
import { triedInOrder } from "../../../routing/boxes.ts";
import { type Attempt, failedAttempt, isWithoutLink, progressOf } from "../../contracts/attempt.ts";
import type { Env } from "../../contracts/env.ts";
import { LATELY_MS } from "../../contracts/link.ts";
import type { BoxPlace } from "../../contracts/names.ts";
import type { CallPlace } from "./link-client.ts";

/** A box that was found without a link is tried last for so long. */
const AWAY_MS = 1_000;

/** Boxes that an isolate remembers; then it starts over. */
const MAX_BOXES = 10_000;

/** When an isolate last found a box away or connected, in milliseconds of the epoch. */
interface Sighting {
  awayAt: number;
  upAt: number;
}

/** By workspace and box. */
const sightings = new Map<string, Sighting>();

/** When the isolate first asked for a sighting, in milliseconds of the epoch. */
let firstAskedAt: number | undefined;

/** A call that is to be opened somewhere. */
export interface Unplaced {
  readonly callId: string;
  readonly workspace: string;
  /** Where it may run. */
  readonly boxes: readonly BoxPlace[];
  /** Its endpoint; undefined for an operation of the agent itself. */
  readonly share?: string | undefined;
}

/** One link of a box that a call may be opened on. */
export interface Candidate {
  readonly place: CallPlace;
  readonly link: number;
  /** How long to wait for a link that is away (contracts/link.ts, WAIT); undefined: another may be there. */
  readonly wait: string | undefined;
}

/** An attempt, and the box on which it was made. */
export interface PlacedAttempt {
  readonly attempt: Attempt;
  readonly place: CallPlace;
}

/**
 * Tries the links of a call's boxes until one takes the call, or until an attempt may have begun it. Where none
 * is there but one was a moment ago, waits for that one.
 * @param attemptOn tries one link
 */
export async function tryCandidates(
  env: Env,
  call: Unplaced,
  attemptOn: (candidate: Candidate) => Promise<Attempt>,
): Promise<PlacedAttempt> {
  const { callId, workspace, boxes, share } = call;
  let best: PlacedAttempt | undefined;
  let awaited: Candidate | undefined;
  const order = orderOf(env, workspace, boxes);
  const isOnlyOne = order.length === 1 && order[0]?.links === 1;
  for (const { box, links } of order) {
    const place: CallPlace = { callId, workspace, box, links, share };
    const sighting = sightingOf(env, workspace, box);
    let isAway = true;
    for (const link of linksOf(links)) {
      const wasUp = Date.now() - sighting.upAt <= LATELY_MS;
      const wait = isOnlyOne ? (wasUp ? "seen" : "lately") : undefined;
      const attempt = await attemptOn({ place, link, wait });
      if (isWithoutLink(attempt)) {
        const { cause } = attempt;
        const wasThere = cause === "link_away" || (cause === "link_unknown" && wasUp);
        if (wasThere && !isOnlyOne) awaited ??= { place, link, wait: "seen" };
        // Of several refusals, one by a box that is there says more.
        best ??= { attempt, place };
        continue;
      }
      isAway = false;
      sighting.upAt = Date.now();
      best = { attempt, place };
      if (!mayTryElsewhere(attempt)) return best;
    }
    if (isAway) {
      sighting.awayAt = Date.now();
      sighting.upAt = Number.NEGATIVE_INFINITY;
    }
  }
  const isNobodyThere = best === undefined || isWithoutLink(best.attempt);
  if (isNobodyThere && awaited !== undefined) {
    return { attempt: await attemptOn(awaited), place: awaited.place };
  }
  return best ?? { attempt: NO_BOX, place: { callId, workspace, box: "", links: 1, share } };
}

const NO_BOX = failedAttempt("no_link", {
  code: "no_origin",
  detail: "the box is not connected",
  retryAfter: 1,
});

/** Whether an attempt began nothing, and another link or box may do better. */
function mayTryElsewhere(attempt: Attempt): boolean {
  if (attempt.kind !== "failed" || progressOf(attempt.cause) !== "not_sent") return false;
  const { code } = attempt.failure;
  return code === "no_origin" || code === "queue_full" || code === "unavailable";
}

/** The boxes in the order in which they are tried. */
function orderOf(env: Env, workspace: string, boxes: readonly BoxPlace[]): readonly BoxPlace[] {
  if (boxes.length <= 1) return boxes;
  const now = Date.now();
  const isAway = (box: string): boolean => now - sightingOf(env, workspace, box).awayAt < AWAY_MS;
  return triedInOrder(boxes, isAway, Math.random());
}

/** The numbers of a box's links, from a random one on. */
function linksOf(links: number): readonly number[] {
  if (links === 1) return ONE_LINK;
  const first = Math.floor(Math.random() * links);
  return Array.from({ length: links }, (_, tried) => (first + tried) % links);
}

const ONE_LINK = [0] as const;

function sightingOf(env: Env, workspace: string, box: string): Sighting {
  const key = `${workspace}/${box}`;
  const known = sightings.get(key);
  if (known !== undefined) return known;
  if (sightings.size >= MAX_BOXES) sightings.clear();
  const upAt = hasJustRestarted(env) ? Date.now() : Number.NEGATIVE_INFINITY;
  const sighting = { awayAt: Number.NEGATIVE_INFINITY, upAt };
  sightings.set(key, sighting);
  return sighting;
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
