/**
 * The `affinity` list of an endpoint, parsed once: words become rows, in the order in which they are tried. `none`
 * stands alone. Pure.
 */
import { PRESETS, type PresetName } from "./presets.ts";
import type { AffinityRows, KeyLesson, KeySource } from "./rows.ts";

/** The meaning of an endpoint's words. */
export interface AffinityRules extends AffinityRows {
  /** The gateway's own cookie is among the sources. */
  readonly usesCookie: boolean;
  /** The words that are presets. */
  readonly presets: ReadonlySet<string>;
}

/** Words of one list; each costs a look at every request. */
export const MAX_AFFINITY_WORDS = 16;

const PRESET_WORDS = Object.keys(PRESETS).map((name) => name.replace(".", String.raw`\.`));

const TOKEN = "[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}";

/** One word. A name in a query or in JSON is visible ASCII without what ends it there. */
export const AFFINITY_WORD = new RegExp(
  `^(?:none|cookie|client-ip|${PRESET_WORDS.join("|")}|(?:learned:)?header:${TOKEN}|learned:cookie:${TOKEN}` +
    String.raw`|(?:query|learned:json):[\w.~-]{1,100})$`,
);

/** Understood wherever affinity is on, before all words: a client that names its session means it. */
const NAMED_BY_CLIENT: KeySource = {
  from: "header",
  key: "modal-session-id",
  name: "modal-session-id",
};

/**
 * The rules of an endpoint's words; undefined where affinity is off. A word that is none is left out: a newer agent
 * may know it.
 */
export function affinityRules(words: readonly string[]): AffinityRules | undefined {
  const known = words
    .slice(0, MAX_AFFINITY_WORDS)
    .filter((word) => AFFINITY_WORD.test(word) && word !== "none");
  if (known.length === 0) return undefined;
  const rows = known.map(rowsOf);
  const sources = once([NAMED_BY_CLIENT, ...rows.flatMap((row) => row.sources)]);
  return {
    sources,
    lessons: once(rows.flatMap((row) => row.lessons)),
    usesCookie: sources.some(({ from }) => from === "cookie"),
    presets: new Set(known.filter(isPreset)),
  };
}

function isPreset(word: string): word is PresetName {
  return Object.hasOwn(PRESETS, word);
}

function rowsOf(word: string): AffinityRows {
  if (isPreset(word)) return PRESETS[word];
  if (word === "cookie" || word === "client-ip") return reading({ from: word });
  const at = word.lastIndexOf(":");
  const way = word.slice(0, at);
  const name = word.slice(at + 1);
  const header = name.toLowerCase();
  switch (way) {
    case "header":
      return reading({ from: "header", key: `header:${header}`, name: header });
    case "query":
      return reading({ from: "query", key: word, name });
    case "learned:header": {
      const key = `learned:header:${header}`;
      const sources: KeySource[] = [{ from: "header", key, name: header }];
      return { sources, lessons: [{ in: "header", key, name: header }] };
    }
    case "learned:cookie": {
      const sources: KeySource[] = [{ from: "app-cookie", key: word, name }];
      return { sources, lessons: [{ in: "set-cookie", key: word, name }] };
    }
    default: {
      const sources: KeySource[] = [
        { from: "query", key: word, name },
        { from: "body-member", key: word, name },
        { from: "path-ids", key: word },
      ];
      const lessons: KeyLesson[] = [{ in: "json", key: word, members: [name] }];
      return { sources, lessons };
    }
  }
}

function reading(source: KeySource): AffinityRows {
  return { sources: [source], lessons: [] };
}

/** Each row once, at its first place: presets share some. */
function once<Row extends object>(rows: readonly Row[]): Row[] {
  const seen = new Set<string>();
  return rows.filter((row) => {
    const text = JSON.stringify(row, (_, value: unknown) =>
      value instanceof RegExp ? value.source : value,
    );
    return seen.has(text) ? false : seen.add(text);
  });
}
