/** Which cards may be given to containers, from one look at them to the next. */
import type { Card } from "../core/cards.ts";
import type { ReportedCard } from "./nvidia-smi.ts";
import { describeXid, shortBusId, type XidEvent } from "./xid.ts";

/** A card after a fatal error, with no other sign that it works again, is given away again after this time. */
const XID_QUARANTINE_S = 600;

/** A card that has been seen once. */
export interface KnownCard {
  readonly card: Card;
  /** Its uncorrected errors while it was known to work. */
  readonly errors: number;
  /** Why it is out; undefined while it works. */
  readonly problem: string | undefined;
}

export interface CardsLook {
  readonly reported: readonly ReportedCard[];
  readonly xids: readonly XidEvent[];
  /** Since the machine's start. */
  readonly uptimeS: number;
}

/** Known cards keep their order; one that is not listed any more is out. */
export function afterLook(
  known: readonly KnownCard[],
  { reported, xids, uptimeS }: CardsLook,
): KnownCard[] {
  const found = new Map(reported.map((each) => [each.card.id, each]));
  const ids = new Set(known.map(({ card }) => card.id));
  const kept = known.map((before) => {
    const report = found.get(before.card.id);
    return report === undefined
      ? { ...before, problem: "nvidia-smi does not find it any more" }
      : judged(before, report, { xids, uptimeS });
  });
  const added = reported
    .filter(({ card }) => !ids.has(card.id))
    .map((report) =>
      // Errors of before are the past: the card works until it shows otherwise.
      judged({ card: report.card, errors: Infinity, problem: undefined }, report, {
        xids,
        uptimeS,
      }),
    );
  return [...kept, ...added];
}

function judged(
  before: KnownCard,
  { card, uncorrectedErrors: now, busId, problem }: ReportedCard,
  { xids, uptimeS }: Pick<CardsLook, "xids" | "uptimeS">,
): KnownCard {
  // The count falls when the driver takes the card anew, after a reset.
  const errors = Math.min(before.errors, now ?? before.errors);
  const added = now === undefined ? 0 : now - errors;
  const xid = xids.findLast(
    (event) => event.busId === shortBusId(busId) && uptimeS - event.atS < XID_QUARANTINE_S,
  );
  const found =
    problem ??
    (added > 0 ? `${added} memory errors could not be corrected` : undefined) ??
    (xid === undefined ? undefined : describeXid(xid));
  // A lost card reports nothing but its UUID.
  return { card: found === undefined ? card : before.card, errors, problem: found };
}
