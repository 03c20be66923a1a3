/** Turns the samples of a bench run into one markdown table per measure. */
import { cpus } from "node:os";

import type { LoadResult, PerServer, ServerName } from "./load/usage.ts";
import type { Measure, MeasureForm } from "./measures.ts";
import type { Target } from "./targets.ts";

/** The samples of one measure, by target; sample N of each target is of the same round. */
export type TargetSamples = ReadonlyMap<Target, readonly LoadResult[]>;

interface Column {
  readonly title: string;
  readonly digits: number;
  /** Undefined where the target has nothing of the kind. `own` is the app's own sample of the round. */
  readonly value: (sample: LoadResult, own: LoadResult) => number | undefined;
  /** What the ratios in brackets are to; none, if left out. */
  readonly ratiosTo?: readonly Target["role"][];
}

const BYTES_PER_MB = 1_000_000;
const SERVERS: readonly ServerName[] = ["workerd", "gateway", "agent", "relay", "app"];
const BOTH = { ratiosTo: ["bare", "app"] } as const;
const TO_BARE = { ratiosTo: ["bare"] } as const;
/** From here on, delays are of the queue for the processors and not of the path. */
const BUSY_SHARE = 0.9;

export function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

const total = (values: PerServer): number => Object.values(values).reduce((sum, of) => sum + of, 0);
const perSecond = (sample: LoadResult): number => (sample.count / sample.elapsedMs) * 1000;

/** CPU of all servers together, of each, and of the load generator. */
function cpuColumns(unit: string, digits: number, perCount: number): Column[] {
  const each = (seconds: number, { count }: LoadResult): number => (seconds / count) * perCount;
  return [
    {
      title: `CPU ${unit}`,
      digits,
      value: (sample) => each(total(sample.cpuSeconds), sample),
      ...BOTH,
    },
    ...SERVERS.map((name) => ({
      title: name,
      digits,
      value: (sample: LoadResult) => {
        const seconds = sample.cpuSeconds[name];
        return seconds === undefined ? undefined : each(seconds, sample);
      },
    })),
    { title: "generator", digits, value: (sample) => each(sample.generatorCpuSeconds, sample) },
  ];
}

const CPU_EACH = cpuColumns("µs each", 0, 1e6);
const LATENCY: readonly Column[] = [
  { title: "p50 ms", digits: 2, value: (sample) => sample.p50Ms, ...BOTH },
  { title: "p99 ms", digits: 2, value: (sample) => sample.p99Ms, ...BOTH },
];
const KIB_EACH = (bytes: number, { count }: LoadResult): number => bytes / count / 1024;

/** Of memory, what the servers before the app hold: the app is the same process for all targets. */
const MEMORY: readonly Column[] = [
  {
    title: "KiB a stream",
    digits: 0,
    value: (sample) =>
      KIB_EACH(total(sample.memoryGrowth) - (sample.memoryGrowth.app ?? 0), sample),
    ...TO_BARE,
  },
  ...SERVERS.filter((name) => name !== "app").map((name) => ({
    title: name,
    digits: 0,
    value: (sample: LoadResult) => {
      const bytes = sample.memoryGrowth[name];
      return bytes === undefined ? undefined : KIB_EACH(bytes, sample);
    },
    ratiosTo: name === "workerd" ? (["bare"] as const) : [],
  })),
];

const COLUMNS: Readonly<Record<MeasureForm, readonly Column[]>> = {
  rate: [{ title: "per s", digits: 0, value: perSecond, ...BOTH }, ...LATENCY, ...CPU_EACH],
  bulk: [
    {
      title: "MB/s",
      digits: 0,
      value: (sample) => perSecond(sample) / BYTES_PER_MB,
      ...BOTH,
    },
    ...cpuColumns("ms per MB", 2, 1000 * BYTES_PER_MB),
  ],
  latency: [...LATENCY, ...CPU_EACH],
  wait: [
    {
      title: "added p50 ms",
      digits: 2,
      value: (sample, own) => sample.p50Ms - own.p50Ms,
      ...TO_BARE,
    },
    {
      title: "added p99 ms",
      digits: 2,
      value: (sample, own) => sample.p99Ms - own.p99Ms,
      ...TO_BARE,
    },
    ...CPU_EACH,
  ],
  delay: [
    ...LATENCY,
    { title: "chunks/s", digits: 0, value: perSecond },
    ...CPU_EACH,
    { title: "machine busy %", digits: 0, value: (sample) => sample.machineBusy * 100 },
  ],
  memory: MEMORY,
};

/** What a reader must know to read the ratios. */
export function reportHead(rounds: number, freshRounds: number): string {
  const processor = cpus();
  return (
    `# Bench\n\nMedians of ${rounds} interleaved rounds (memory: ${freshRounds}, each with new processes) on ` +
    `${processor.length} cores (${processor[0]?.model.trim() ?? "unknown"}), the load generator on the ` +
    "same machine. In brackets: times the bare workerd's, times the app's own; a single number is times " +
    "the bare workerd's. CPU is that of all servers together, then of each: workerd, the gateway's Node, " +
    "the agent, the relay, the app. A chunk's delay is from the app's write to the generator's read. What " +
    "a target adds to a call is the time without the app's wait, less that of the app itself."
  );
}

/** One measure's table of medians over the rounds, and what its figures are not to be taken for. */
export function measureTable(measure: Measure, samples: TargetSamples): string {
  const columns = COLUMNS[measure.form];
  const samplesOf = (role: Target["role"]): readonly LoadResult[] =>
    [...samples].find(([target]) => target.role === role)?.[1] ?? [];
  const own = samplesOf("app");
  const medianOf = ({ value }: Column, of: readonly LoadResult[]): number | undefined => {
    const values = of.map((sample, round) => value(sample, own[round] ?? sample));
    return values.includes(undefined) ? undefined : median(values as number[]);
  };
  const cell = (column: Column, of: readonly LoadResult[]): string => {
    const value = medianOf(column, of);
    if (value === undefined) return "–";
    const ratios = (column.ratiosTo ?? []).map((role) =>
      (value / (medianOf(column, samplesOf(role)) ?? Number.NaN)).toFixed(2),
    );
    return `${value.toFixed(column.digits)}${ratios.length > 0 ? ` (${ratios.join(", ")})` : ""}`;
  };
  const rows = [...samples].map(([{ name }, of]) => {
    const cells = columns.map((column) => cell(column, of));
    return `| ${name} | ${cells.join(" | ")} |`;
  });
  return [
    `## ${measure.name}\n`,
    `| | ${columns.map(({ title }) => title).join(" | ")} |`,
    `|---|${"---:|".repeat(columns.length)}`,
    ...rows,
    ...caveats(measure, samples),
  ].join("\n");
}

/** Where delays are those of a machine, a generator or an app that had no more time to give. */
function caveats({ form }: Measure, samples: TargetSamples): string[] {
  if (form !== "delay") return [];
  return [...samples].flatMap(([{ name }, of]) => {
    const share = (cpu: (sample: LoadResult) => number): number =>
      median(of.map((sample) => (cpu(sample) * 1000) / sample.elapsedMs));
    const limits = [
      { what: "the machine", busy: median(of.map((sample) => sample.machineBusy)) },
      { what: "the load generator", busy: share((sample) => sample.generatorCpuSeconds) },
      { what: "the app", busy: share((sample) => sample.cpuSeconds.app ?? 0) },
    ].filter(({ busy }) => busy >= BUSY_SHARE);
    return limits.map(
      ({ what, busy }) =>
        `\n${name}: ${what} was ${Math.round(busy * 100)} % busy. Its delays are an upper bound.`,
    );
  });
}
