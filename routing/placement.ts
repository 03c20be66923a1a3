/**
 * On which boxes an endpoint's containers run: the rule of its settings `boxes` and `region`, applied to the
 * workspace's boxes. Whether a box is connected counts only where an endpoint has no rule. Pure.
 */

export interface PlaceableBox {
  readonly name: string;
  /** Empty where the box has none. */
  readonly region: string;
  readonly connected: boolean;
}

export interface PlacementRule {
  /** Patterns of `matchesPattern` for names; undefined: any box. */
  readonly boxes?: readonly string[] | undefined;
  /** Regions that a box may be within (`isWithin`); undefined: any region. */
  readonly region?: readonly string[] | undefined;
}

/**
 * The names of the boxes, sorted; empty where no box fits. With a rule: all boxes that it allows. Without one: one
 * box, namely the first of `preferred` that exists, else by name the first that is connected, else the first.
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

/** `*` stands for any characters, `?` for one. Takes time O(pattern × name) at most. */
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
      // Only the last star has to try longer matches: what an earlier one matched stays a match.
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
 * Whether a region is the broad one or a part of it, as clouds spell parts: `eu` contains `eu-west-1`, and
 * `us-east` contains `us-east-1` and `us-east1`. `us-east1` does not contain `us-east10`.
 */
export function isWithin(broad: string, region: string): boolean {
  const outer = broad.toLowerCase();
  const inner = region.toLowerCase();
  if (!inner.startsWith(outer)) return false;
  const rest = inner.slice(outer.length);
  return rest === "" || /^[-._]/.test(rest) || (/^\d/.test(rest) && !/\d$/.test(outer));
}
