/** The tables of docs/balancing.md, in Markdown. */
import { POLICIES, spreadCalls } from "./calls.ts";
import { hitRate, PLACES_OF_TURNS } from "./prefixes.ts";
import { evenTrials, HOMES, movedBy, PLACINGS } from "./sessions.ts";

const AGES_MS = [1_000, 5_000] as const;

/** By the name that stands around each in the page. */
export function balancingTables(seed: number): Readonly<Record<string, string>> {
  return { calls: callsTable(seed), sessions: sessionsTable(seed), prefixes: prefixesTable(seed) };
}

function callsTable(seed: number): string {
  const rows = AGES_MS.flatMap((ageMs) =>
    POLICIES.map((policy) => {
      const { worstInTheMean, worst, waited } = spreadCalls(policy, ageMs, seed);
      const age = `${ageMs / 1_000} s`;
      return [age, policy, times(worstInTheMean), times(worst), percent(waited)];
    }),
  );
  const head = [
    "age of loads, up to",
    "each call goes to",
    "the worst container, of the mean",
    "at its worst",
    "calls that wait",
  ];
  return table(head, rows);
}

function sessionsTable(seed: number): string {
  const moved = HOMES.flatMap((home) =>
    (["one goes", "one comes"] as const).map((change) => [
      `of 10 boxes ${change}: sessions that move`,
      home,
      percent(movedBy(home, change, seed)),
    ]),
  );
  const even = PLACINGS.map((placing) => [
    "20 sessions on 4 containers: each has its share, give or take 30 %",
    placing,
    percent(evenTrials(placing, seed)),
  ]);
  return table(["what", "by", "part"], [...moved, ...even]);
}

function prefixesTable(seed: number): string {
  const rows = PLACES_OF_TURNS.map((place) => [place, percent(hitRate(place, seed))]);
  return table(["a conversation's next request goes to a container", "finds its prefix"], rows);
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const lines = [head, head.map(() => "---"), ...rows];
  return lines.map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}

function times(ratio: number): string {
  return `${ratio.toFixed(2)} ×`;
}

function percent(part: number): string {
  return `${(100 * part).toFixed(1)} %`;
}
