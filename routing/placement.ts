/**
 * On which boxes containers run: what `boxes` and `region` of an endpoint say, against the boxes that the
 * workspace has. Whether a box is connected matters only where nothing was said.
 */

export interface PlaceableBox {
  readonly name: string;
  /** Empty: none was given. */
  readonly region: string;
  readonly connected: boolean;
}

export interface PlacementRule {
  /** Names of boxes; `*` stands for any characters, `?` for one. Absent: any box. */
  readonly boxes?: readonly string[] | undefined;
  /** Broad names match narrower ones. Absent: any region. */
  readonly region?: readonly string[] | undefined;
}

/**
 * The names of the boxes, in order; none where no box fits. With a rule: all that it fits. Without: the
 * first of `preferred` that there is, else one box, a connected one if any, the first by name.
 */
export function placementOf(
  { boxes: patterns, region: regions }: PlacementRule,
  boxes: readonly PlaceableBox[],
  preferred: readonly string[],
): string[] {
  if (patterns !== undefined || regions !== undefined) {
    return boxes
      .filter(({ name }) => patterns?.some((pattern) => matchesPattern(pattern, name)) ?? true)
      .filter(({ region }) => regions?.some((broad) => isWithin(broad, region)) ?? true)
      .map(({ name }) => name)
      .toSorted();
  }
  const names = new Set(boxes.map(({ name }) => name));
  const chosen = preferred.find((name) => names.has(name));
  if (chosen !== undefined) return [chosen];
  const connected = boxes.filter((box) => box.connected);
  const candidates = connected.length > 0 ? connected : boxes;
  return candidates
    .map(({ name }) => name)
    .toSorted()
    .slice(0, 1);
}

/** `*` stands for any characters, `?` for one. Takes time in proportion to both lengths multiplied, at most. */
export function matchesPattern(pattern: string, name: string): boolean {
  let at = 0;
  let position = 0;
  let star = -1;
  let resumed = 0;
  while (position < name.length) {
    if (pattern[at] === "*") {
      star = at;
      resumed = position;
      at += 1;
    } else if (pattern[at] === "?" || pattern[at] === name[position]) {
      at += 1;
      position += 1;
    } else if (star !== -1) {
      // The last star takes one character more; an earlier one never has to.
      resumed += 1;
      position = resumed;
      at = star + 1;
    } else {
      return false;
    }
  }
  while (pattern[at] === "*") at += 1;
  return at === pattern.length;
}

/**
 * Whether a region is the broad one or a part of it, as clouds spell parts: `eu` has `eu-west-1`, `us-east`
 * has `us-east-1` and `us-east1`. Not so `us-east1` and `us-east10`.
 */
export function isWithin(broad: string, region: string): boolean {
  const outer = broad.toLowerCase();
  const inner = region.toLowerCase();
  if (!inner.startsWith(outer)) return false;
  const rest = inner.slice(outer.length);
  return rest === "" || /^[-._]/.test(rest) || (/^\d/.test(rest) && !/\d$/.test(outer));
}
