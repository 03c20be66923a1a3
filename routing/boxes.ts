/**
 * Which box a call goes to, where several serve its endpoint. What a box says when it is asked is not
 * known here: whoever holds the call tries the boxes in this order.
 */

/** The boxes in the order in which they are tried: from a random one on, those found away lately last. */
export function triedInOrder<Box extends { readonly box: string }>(
  boxes: readonly Box[],
  isAway: (box: string) => boolean,
  random: number,
): Box[] {
  const first = Math.floor(random * boxes.length);
  const turned = [...boxes.slice(first), ...boxes.slice(0, first)];
  const away = turned.filter(({ box }) => isAway(box));
  return away.length === 0 ? turned : [...turned.filter(({ box }) => !isAway(box)), ...away];
}

/**
 * The box that all calls under one key go to, by rendezvous hashing (Thaler and Ravishankar, 1998): a box
 * that comes takes keys for itself alone, and one that goes gives away its own alone. It is part of the
 * promise that a call under an Idempotency-Key runs once: another hash would move keys.
 */
export function homeBox<Box extends { readonly box: string }>(
  key: string,
  boxes: readonly Box[],
): Box | undefined {
  let home: Box | undefined;
  let highest = -1;
  for (const place of boxes) {
    const weight = weightOf(`${place.box}\n${key}`);
    // Equal weights: by name, so that the order of the list does not matter.
    const wins = weight > highest || (weight === highest && place.box < (home?.box ?? ""));
    if (!wins) continue;
    home = place;
    highest = weight;
  }
  return home;
}

/** FNV-1a of 32 bits, finished as MurmurHash3 does, since FNV alone leaves its last bytes in few bits. */
function weightOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < text.length; index += 1) {
    hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
  }
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
