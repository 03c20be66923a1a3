/** The sessions of a container that an agent leaves to the next one, in a bounded form that can be written down. Pure. */

/** Of a container: all of 100,000 keys with 80 characters each. */
const MAX_LEFT_CHARACTERS = 8 * 1024 * 1024;

export interface LeftSessions {
  /** Those that were used longest ago first. */
  readonly sessions: readonly {
    /** For how long nobody had used it. */
    readonly idleMs: number;
    readonly keys: readonly string[];
  }[];
  /** Keys of what is on the box, whatever the container. */
  readonly ofTheBox: readonly string[];
}

/** A session, as a table has it. */
interface UsedSession {
  readonly keys: ReadonlySet<string>;
  readonly lastUsedMs: number;
}

/**
 * Of more than a container may have, those that were used last.
 * @param ofTheBox in the order of their last use
 */
export function leftSessions(
  sessions: Iterable<UsedSession>,
  ofTheBox: Iterable<string>,
  nowMs: number,
  maxCharacters = MAX_LEFT_CHARACTERS,
): LeftSessions {
  let room = maxCharacters;
  const hasRoom = (keys: readonly string[]): boolean => {
    for (const key of keys) room -= key.length;
    return room >= 0;
  };
  const left = [...sessions]
    .sort((a, b) => b.lastUsedMs - a.lastUsedMs)
    .map(({ keys, lastUsedMs }) => ({ idleMs: Math.round(nowMs - lastUsedMs), keys: [...keys] }));
  return {
    sessions: whileSo(left, ({ keys }) => hasRoom(keys)).toReversed(),
    ofTheBox: whileSo([...ofTheBox].toReversed(), (key) => hasRoom([key])).toReversed(),
  };
}

/** The first ones, up to one of which it is not so. */
function whileSo<Item>(items: readonly Item[], isSo: (item: Item) => boolean): Item[] {
  const end = items.findIndex((item) => !isSo(item));
  return end === -1 ? [...items] : items.slice(0, end);
}
