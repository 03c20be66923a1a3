/**
 * The links of boxes, asked and cut. An `Origin` object knows whether its link is up; what anybody else
 * remembers of it may be old. Also the isolate's memory of boxes that were away a moment ago, so that
 * not every call tries them first.
 */
import { triedInOrder } from "../../../routing/boxes.ts";
import type { Failure } from "../../../routing/wire/messages.ts";
import type { Ending } from "../../contracts/link.ts";
import type { BoxPlace } from "../../contracts/names.ts";

/** A box that was found without a link is tried last for so long. */
const AWAY_MS = 1_000;

/** Boxes that an isolate remembers as away; then it starts over. */
const MAX_AWAY = 10_000;

/** When boxes were found away, in milliseconds of the epoch. */
const away = new Map<string, number>();

/** One link of a box that a call may be opened on. */
export interface Candidate extends BoxPlace {
  readonly link: number;
  /** Of its box; the box is away when this one is not there either. */
  readonly isLast: boolean;
}

/** The links that a call may be opened on, in the order in which they are tried. */
export function* candidatesOf(
  workspace: string,
  boxes: readonly BoxPlace[],
): Generator<Candidate, void> {
  const [only] = boxes;
  const now = Date.now();
  const isAway = (box: string): boolean =>
    now - (away.get(`${workspace}/${box}`) ?? Number.NEGATIVE_INFINITY) < AWAY_MS;
  const order =
    boxes.length === 1 && only !== undefined ? [only] : triedInOrder(boxes, isAway, Math.random());
  for (const { box, links } of order) {
    const first = links === 1 ? 0 : Math.floor(Math.random() * links);
    for (let tried = 0; tried < links; tried += 1) {
      yield { box, links, link: (first + tried) % links, isLast: tried === links - 1 };
    }
  }
}

/** Whether a refusal says that nothing was begun and that another link or box may do better. */
export function mayGoElsewhere(ending: Ending, { code }: Failure): boolean {
  if (ending === "no_link" || ending === "too_many_streams") return true;
  return ending === "refused" && (code === "no_origin" || code === "queue_full");
}

/** Remembers that no link of a box was there. */
export function noteAway(workspace: string, box: string): void {
  if (away.size >= MAX_AWAY) away.clear();
  away.set(`${workspace}/${box}`, Date.now());
}
