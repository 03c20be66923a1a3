/**
 * The links that a call may be opened on, and the one loop that tries them. A box that is away is tried last, and one
 * that was there a moment ago is waited for. Where several boxes serve the endpoint, each is asked to refuse the call if
 * it has no room. Only where all have refused does the call wait at the least loaded one.
 */
import { orderForQueue, orderForRoom } from "../../../routing/balancing.ts";
import type { EntryRegions } from "../../../routing/regions.ts";
import type { ErrorCode } from "../../../routing/wire/errors.ts";
import type { PoolLoad } from "../../../routing/wire/pool-load.ts";
import { type Attempt, failedAttempt, isWithoutLink, progressOf } from "../../contracts/attempt.ts";
import type { Env } from "../../contracts/env.ts";
import { LINK_RETURN_MS } from "../../contracts/link.ts";
import type { BoxPlace } from "../../contracts/names.ts";
import type { CallPlace } from "./link-client.ts";
import { loadOf, retriesOf, sightingOf, viewOf } from "./sightings.ts";

/** Where several links were there a moment ago, a call waits for each in turn, until it has waited so often. */
const TURNS = 10;

/** A call that is to be opened somewhere. */
export interface Unplaced {
  readonly callId: string;
  /** As in `RequestHead`. */
  readonly key?: string | undefined;
  readonly workspace: string;
  /** Where it may run. */
  readonly boxes: readonly BoxPlace[];
  /** Its endpoint; undefined for an operation of the agent itself. */
  readonly share?: string | undefined;
  /** Where the request entered; absent where it does not matter. */
  readonly entry?: EntryRegions | undefined;
  /** The box of its session: it is tried first, and the call waits there. */
  readonly preferred?: string | undefined;
  /** Another box will do where that one has no room. */
  readonly mayLeavePreferred?: boolean | undefined;
  /** It begins a session, which will stay where it begins. */
  readonly beginsSession?: boolean | undefined;
}

/** One link of a box that a call may be opened on. */
export interface Candidate {
  readonly place: CallPlace;
  readonly link: number;
  /** How long to wait for a link that is away (contracts/link.ts, WAIT); undefined: another may be there. */
  readonly wait: string | undefined;
  /** As in `RequestHead`; undefined where no other box serves the endpoint. */
  readonly mayRefuse: boolean | undefined;
}

/** An attempt, and the box on which it was made. */
export interface PlacedAttempt {
  readonly attempt: Attempt;
  readonly place: CallPlace;
}

/** Tries one link. */
export type AttemptOn = (candidate: Candidate) => Promise<Attempt>;

/**
 * Tries the links of a call's boxes until one takes the call, or until an attempt may have begun it. Where none
 * is there but some were a moment ago, waits for the first of them.
 */
export async function tryCandidates(
  env: Env,
  call: Unplaced,
  attemptOn: AttemptOn,
): Promise<PlacedAttempt> {
  return await new Search(env, call, attemptOn).placed();
}

/** The box that a call would be tried on first; undefined where there is none. */
export function leastLoaded(env: Env, call: Unplaced): string | undefined {
  const [first] = inOrder(env, call);
  return first?.box;
}

class Search {
  readonly #env: Env;
  readonly #call: Unplaced;
  readonly #attemptOn: AttemptOn;
  /** Boxes that refused the call because another one may have room. */
  readonly #full: BoxPlace[] = [];
  /** The best answer so far. */
  #best: PlacedAttempt | undefined;
  /** Links that were there a moment ago. */
  readonly #awaited: Candidate[] = [];

  constructor(env: Env, call: Unplaced, attemptOn: AttemptOn) {
    this.#env = env;
    this.#call = call;
    this.#attemptOn = attemptOn;
  }

  async placed(): Promise<PlacedAttempt> {
    for (const box of inOrder(this.#env, this.#call)) {
      const taken = await this.#tryBox(box, this.#mayRefuse(box));
      if (taken !== undefined) return taken;
    }
    for (const box of order(this.#env, this.#call, this.#full, orderForQueue)) {
      const taken = await this.#tryBox(box, false);
      if (taken !== undefined) return taken;
    }
    const isNobodyThere = this.#best === undefined || isWithoutLink(this.#best.attempt);
    const awaited = isNobodyThere ? await this.#awaitLink() : undefined;
    return (
      awaited ?? this.#best ?? { attempt: NO_BOX, place: this.#placeOn({ box: "", links: 1 }) }
    );
  }

  /** Tries links that were there a moment ago, as long as the first of them may take to be back. */
  async #awaitLink(): Promise<PlacedAttempt | undefined> {
    const turns = this.#awaited.length === 1 ? 1 : TURNS;
    let last: PlacedAttempt | undefined;
    for (let turn = 0; turn < turns; turn += 1) {
      const candidate = this.#awaited[turn % this.#awaited.length];
      if (candidate === undefined) return undefined;
      const wait = turns === 1 ? "seen" : `${LINK_RETURN_MS / TURNS}`;
      last = { attempt: await this.#attempt({ ...candidate, wait }), place: candidate.place };
      if (!isWithoutLink(last.attempt)) break;
    }
    return last;
  }

  #mayRefuse({ box }: BoxPlace): boolean | undefined {
    const { boxes, preferred, mayLeavePreferred = false } = this.#call;
    return boxes.length === 1 ? undefined : mayLeavePreferred || box !== preferred;
  }

  /** Tries the links of a box; undefined where the call has to go on. */
  async #tryBox(box: BoxPlace, mayRefuse: boolean | undefined): Promise<PlacedAttempt | undefined> {
    const { boxes, workspace, preferred, mayLeavePreferred = false } = this.#call;
    const place = this.#placeOn(box);
    const sighting = sightingOf(this.#env, workspace, box.box);
    sighting.onTried();
    const isOnlyOne = boxes.length === 1 && box.links === 1;
    let isAway = true;
    for (const link of linksOf(box.links)) {
      const { wasUp } = sighting;
      // A session waits for its box where that was there a moment ago.
      const isOwn = box.box === preferred && !mayLeavePreferred;
      const waits = isOnlyOne || (isOwn && box.links === 1);
      const wait = waits ? (wasUp ? "seen" : "lately") : undefined;
      const candidate = { place, link, wait, mayRefuse };
      const attempt = await this.#attempt(candidate);
      if (isWithoutLink(attempt)) {
        const { cause } = attempt;
        const wasThere = cause === "link_away" || (cause === "link_unknown" && wasUp);
        if (wasThere && !waits) this.#awaited.push({ ...candidate, mayRefuse: mayRefuse && false });
        // Of several refusals, one by a box that is there says more.
        this.#best ??= { attempt, place };
        continue;
      }
      isAway = false;
      sighting.onUp();
      if (mayRefuse === true && isForWantOfRoom(attempt)) {
        this.#full.push(box);
        return undefined;
      }
      if (!mayTryElsewhere(attempt) || !this.#hasRetry(attempt)) return { attempt, place };
      // That another box has the containers says less than what that one says.
      const isOutdone = this.#best !== undefined && !isWithoutLink(this.#best.attempt);
      if (!(isFollowed(attempt) && isOutdone)) this.#best = { attempt, place };
      if (isOfWholeBox(attempt)) return undefined;
    }
    if (isAway) sighting.onAway();
    return undefined;
  }

  /** A refusal that says nothing of other boxes may be an outage: then not every call may ask all of them. */
  #hasRetry(attempt: Attempt): boolean {
    const { workspace, share = "" } = this.#call;
    const isFailing = attempt.kind === "failed" && FAILING.has(attempt.failure.code);
    return !isFailing || retriesOf(workspace, share).take(Date.now());
  }

  async #attempt(candidate: Candidate): Promise<Attempt> {
    const { workspace, share, beginsSession } = this.#call;
    if (candidate.mayRefuse === undefined || share === undefined) {
      return await this.#attemptOn(candidate);
    }
    const load = loadOf(workspace, candidate.place.box, share);
    load.onOpened(Date.now(), beginsSession);
    const attempt = await this.#attemptOn(candidate);
    if (isWithoutLink(attempt)) load.onAway();
    // A deferred call goes on to wait there.
    else if (attempt.kind !== "deferred")
      load.onAnswered(loadIn(attempt), Date.now(), beginsSession);
    return attempt;
  }

  #placeOn({ box, links }: BoxPlace): CallPlace {
    const { callId, key, workspace, share } = this.#call;
    return { callId, key, workspace, box, links, share };
  }
}

/** The boxes of a call in the order in which they are tried. */
function inOrder(env: Env, call: Unplaced): readonly BoxPlace[] {
  const { workspace, boxes, preferred } = call;
  const ordered = order(env, call, boxes, orderForRoom);
  const own = boxes.find(({ box }) => box === preferred);
  if (own === undefined || sightingOf(env, workspace, own.box).isAway) return ordered;
  return [own, ...ordered.filter(({ box }) => box !== preferred)];
}

function order(
  env: Env,
  call: Unplaced,
  boxes: readonly BoxPlace[],
  by: typeof orderForRoom,
): readonly BoxPlace[] {
  if (boxes.length <= 1) return boxes;
  const { beginsSession } = call;
  const view = (place: BoxPlace) => viewOf(env, call, place);
  return by(boxes, view, { random: Math.random, beginsSession });
}

const NO_BOX = failedAttempt("no_link", {
  code: "no_origin",
  detail: "the box is not connected",
  retryAfter: 1,
});

/** The box's agent stops, or another box is to run the call; nobody began it, and who is to may be there in a moment. */
export function isFollowed(attempt: Attempt): boolean {
  return (
    attempt.kind === "failed" && attempt.cause === "refused" && attempt.failure.followed === true
  );
}

/** Whether a box refused a call because another one may have room for it. */
function isForWantOfRoom(attempt: Attempt): boolean {
  const isUnsent = attempt.kind === "failed" && progressOf(attempt.cause) === "not_sent";
  return isUnsent && attempt.failure.load !== undefined;
}

/** The load that a box told with its answer. */
function loadIn(attempt: Attempt): PoolLoad | undefined {
  switch (attempt.kind) {
    case "response":
    case "websocket":
      return attempt.head.load;
    case "failed":
      return attempt.failure.load;
    case "deferred":
      return undefined;
  }
}

/** Whether an attempt began nothing, and another link or box may do better. */
function mayTryElsewhere(attempt: Attempt): boolean {
  if (attempt.kind !== "failed" || progressOf(attempt.cause) !== "not_sent") return false;
  return ELSEWHERE.has(attempt.failure.code);
}

/** Whether the box's other links lead to the same refusal. */
function isOfWholeBox(attempt: Attempt): boolean {
  if (attempt.kind !== "failed" || attempt.cause !== "refused") return false;
  const { code } = attempt.failure;
  return code === "queue_full" || code === "starting_failed";
}

/** An app that does not start on one box may start on another. */
const FAILING: ReadonlySet<ErrorCode> = new Set(["unavailable", "starting_failed"]);

const ELSEWHERE: ReadonlySet<ErrorCode> = new Set(["no_origin", "queue_full", ...FAILING]);

/** The numbers of a box's links, from a random one on. */
function linksOf(links: number): readonly number[] {
  if (links === 1) return ONE_LINK;
  const first = Math.floor(Math.random() * links);
  return Array.from({ length: links }, (_, tried) => (first + tried) % links);
}

const ONE_LINK = [0] as const;
