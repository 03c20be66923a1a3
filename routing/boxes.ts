/**
 * Which box has the calls under a key, where several serve an endpoint. Decides alone: the caller asks the boxes. Pure.
 */

/**
 * The box that all calls under one key go to; undefined where there are no boxes. By rendezvous hashing (Thaler
 * and Ravishankar, 1998) a new box takes over keys for itself alone. A box that goes
 * gives away its own alone. A call under an Idempotency-Key runs once only as long as this function never changes.
 */
export function homeBox<Box extends { readonly box: string }>(
  key: string,
  boxes: readonly Box[],
): Box | undefined {
  let home: Box | undefined;
  let highest = -1;
  for (const place of boxes) {
    const weight = weightOf(`${place.box}\n${key}`);
    // At equal weights the name decides, so that the order of the list does not matter.
    const wins = weight > highest || (weight === highest && place.box < (home?.box ?? ""));
    if (!wins) continue;
    home = place;
    highest = weight;
  }
  return home;
}

/** Boxes that served an endpoint before others took over. They keep the keys that came to them. */
export interface FormerBoxes {
  readonly boxes: readonly string[];
  /** When the last of their calls is forgotten, in milliseconds of the epoch. */
  readonly untilMs: number;
}

/**
 * The boxes beside its home that may hold a call under this key: its homes among former boxes whose calls are
 * remembered still, each once.
 */
export function formerHomes(
  key: string,
  boxes: readonly { readonly box: string }[],
  formerBoxes: readonly FormerBoxes[],
  nowMs: number,
): string[] {
  const present = homeBox(key, boxes)?.box;
  const homes = new Set<string>();
  for (const { boxes: former, untilMs } of formerBoxes) {
    if (untilMs <= nowMs) continue;
    const home = homeBox(
      key,
      former.map((box) => ({ box })),
    );
    if (home !== undefined && home.box !== present) homes.add(home.box);
  }
  return [...homes];
}

/** FNV-1a of 32 bits, finished as MurmurHash3 is: the last bytes alone would reach few bits of FNV's. */
function weightOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < text.length; index += 1) {
    hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
  }
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
