/**
 * Shares out the containers of a pool that several boxes run: `min_containers`, `max_containers` and
 * `buffer_containers` count over all of them. Decides for one box at a time, by what each has said and was granted
 * last. A container that a box holds is promised to no other box, so that the promises never exceed the maximum. Pure.
 */

/** The pool's settings, over all boxes. */
export interface PoolBounds {
  readonly min: number;
  /** At least 1. */
  readonly max: number;
  /** Containers besides those that the calls need, while there are calls. */
  readonly buffer: number;
}

/** The bounds of one box until its lease ends. */
export interface PoolShare {
  /** Containers that it has even when there are no calls. */
  readonly least: number;
  /** Those that it has besides what its calls need, while there are calls. */
  readonly buffer: number;
  /** Containers that it has at most. */
  readonly most: number;
}

/** A box whose lease has not ended. */
export interface BoxUse {
  readonly box: string;
  /** Containers that its calls need, or that it needs to prove that the version starts. */
  readonly needs: number;
  /** Containers that it has, those that end included. */
  readonly has: number;
  /** Its first container starts: its turn has not begun. */
  readonly isStarting: boolean;
  /** Its share until now. */
  readonly granted: PoolShare;
  /** Containers that it may still have by an earlier, larger share; 0 where it is known to go by this one. */
  readonly unconfirmed: number;
  /** Since when it has had a share, or has waited for one. */
  readonly sinceMs: number;
}

export interface Turn {
  readonly nowMs: number;
  /** Where there are fewer containers than boxes that need one, a box has one for so long before the next one's turn. */
  readonly turnMs: number;
}

export const NO_SHARE: PoolShare = { least: 0, buffer: 0, most: 0 };

/** The containers that a box holds: others may not have them before it has let go. */
export function heldBy({ has, granted: { most }, unconfirmed }: BoxUse): number {
  return Math.max(has, most, unconfirmed);
}

/**
 * The share of each box, by its place in the list, that the pool works towards. Their `most` sum up to `max` at most.
 *
 * Needs come first, and two boxes that need more than there is get equal parts. The rest stays with the boxes that
 * have containers without need, since others may need it only later.
 */
export function fairShares(uses: readonly BoxUse[], bounds: PoolBounds, turn: Turn): PoolShare[] {
  const { max } = bounds;
  const least = spread(Math.min(bounds.min, max), uses, (use) => use.has);
  const active = uses.map(({ needs }) => needs > 0);
  const buffers = spread(bounds.buffer, uses, (use) => use.has, active);
  const wanted = uses.map(({ needs }, index) =>
    Math.max(least[index] as number, needs > 0 ? needs + (buffers[index] as number) : 0),
  );
  const most = uses.map(() => 0);
  const left = fill(most, wanted, max, uses, turn);
  const kept = uses.map(({ has }, index) => Math.max(has, wanted[index] as number));
  fill(most, kept, left, uses, turn);
  return uses.map((_, index) => ({
    least: Math.min(least[index] as number, most[index] as number),
    buffer: buffers[index] as number,
    most: most[index] as number,
  }));
}

/** The share that a box may have at once: it grows by what no other box holds. */
export function grantable(
  index: number,
  shares: readonly PoolShare[],
  uses: readonly BoxUse[],
  { max }: PoolBounds,
): PoolShare {
  const share = shares[index] as PoolShare;
  const { has } = uses[index] as BoxUse;
  const others = uses.reduce((sum, use, at) => (at === index ? sum : sum + heldBy(use)), 0);
  const most = Math.min(share.most, Math.max(has, max - others));
  return { ...share, least: Math.min(share.least, most), most };
}

/**
 * The boxes that are to ask for their shares: their part has grown, or another one waits for what they hold.
 * @param shares as `fairShares` has them
 */
export function concernedBoxes(
  shares: readonly PoolShare[],
  uses: readonly BoxUse[],
  bounds: PoolBounds,
): string[] {
  const isShort = uses.some(({ granted }, at) => granted.most < (shares[at] as PoolShare).most);
  return uses.flatMap(({ box, granted }, at) => {
    const fair = shares[at] as PoolShare;
    const { least, buffer, most } = grantable(at, shares, uses, bounds);
    const grows = most > granted.most || least > granted.least || buffer > granted.buffer;
    return grows || (isShort && fair.most < granted.most) ? [box] : [];
  });
}

/** Spreads a number evenly; where that leaves a rest, it is for the boxes that have the most already. */
function spread(
  count: number,
  uses: readonly BoxUse[],
  has: (use: BoxUse) => number,
  takesPart: readonly boolean[] = uses.map(() => true),
): number[] {
  const parts = uses.map(() => 0);
  const order = uses
    .map((_, index) => index)
    .filter((index) => takesPart[index])
    .toSorted((one, other) => {
      const [a, b] = [uses[one] as BoxUse, uses[other] as BoxUse];
      return has(b) - has(a) || compare(a.box, b.box);
    });
  if (order.length === 0) return parts;
  const each = Math.floor(count / order.length);
  const rest = count % order.length;
  for (const [place, index] of order.entries()) parts[index] = each + (place < rest ? 1 : 0);
  return parts;
}

/**
 * Raises levels towards what is wanted, the lowest first, while there is something left.
 * @returns what is left
 */
function fill(
  levels: number[],
  wanted: readonly number[],
  count: number,
  uses: readonly BoxUse[],
  turn: Turn,
): number {
  let left = count;
  while (left > 0) {
    const below = uses
      .map((_, index) => index)
      .filter((index) => (levels[index] as number) < (wanted[index] as number));
    if (below.length === 0) return left;
    const level = Math.min(...below.map((index) => levels[index] as number));
    const lowest = below.filter((index) => levels[index] === level);
    const order = lowest.toSorted((one, other) =>
      level === 0
        ? byTurn(uses[one] as BoxUse, uses[other] as BoxUse, turn)
        : bySize(uses[one] as BoxUse, uses[other] as BoxUse),
    );
    for (const index of order.slice(0, left)) levels[index] = level + 1;
    left -= Math.min(left, order.length);
  }
  return left;
}

/** Whose first container comes first, where not each box that needs one can have one. */
function byTurn(one: BoxUse, other: BoxUse, turn: Turn): number {
  const rank = rankOf(one, turn) - rankOf(other, turn);
  if (rank !== 0) return rank;
  // Of those who have had their turn, the one that began last goes on.
  const age = one.sinceMs - other.sinceMs;
  return (rankOf(one, turn) === 2 ? -age : age) || compare(one.box, other.box);
}

function rankOf(use: BoxUse, { nowMs, turnMs }: Turn): 0 | 1 | 2 | 3 {
  // A start that takes longer than a turn would never end.
  const isOver = !use.isStarting && nowMs - use.sinceMs >= turnMs;
  // A container that only finishes its calls is no turn: it would never end.
  if (use.granted.most > 0) return isOver ? 2 : 0;
  return isOver ? 1 : 3;
}

/** A further container stays where it is. */
function bySize(one: BoxUse, other: BoxUse): number {
  return heldBy(other) - heldBy(one) || compare(one.box, other.box);
}

function compare(one: string, other: string): number {
  return one < other ? -1 : Number(one > other);
}
