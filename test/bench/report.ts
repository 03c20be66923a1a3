/** Turns the samples of a bench run into one markdown table per measure, on stdout. */
import { cpus } from "node:os";

import type { Result } from "./load.ts";
import type { Target, Targets } from "./targets.ts";

export interface Measure {
  readonly name: string;
  /** What is compared: throughput is better when higher, latency when lower. */
  readonly unit: "per second" | "MB per second" | "latency";
}

export interface Sample extends Result {
  /** Of all server processes together, during this sample. */
  readonly cpuSeconds: number;
}

type Samples = ReadonlyMap<Measure, ReadonlyMap<Target, readonly Sample[]>>;

const BYTES_PER_MB = 1_000_000;

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

interface Column {
  readonly title: string;
  readonly value: (sample: Sample) => number;
  readonly digits: number;
}

const perSecond = (sample: Sample) => (sample.count / sample.elapsedMs) * 1000;
const cpuMicroseconds = (sample: Sample) => (sample.cpuSeconds / sample.count) * 1e6;

const LATENCY: readonly Column[] = [
  { title: "p50 ms", value: (sample) => sample.p50Ms, digits: 2 },
  { title: "p99 ms", value: (sample) => sample.p99Ms, digits: 2 },
];

/** The first column of each row is the one whose ratios are printed first. */
const COLUMNS: Readonly<Record<Measure["unit"], readonly Column[]>> = {
  "per second": [
    { title: "per s", value: perSecond, digits: 0 },
    ...LATENCY,
    { title: "CPU µs each", value: cpuMicroseconds, digits: 0 },
  ],
  "MB per second": [
    { title: "MB/s", value: (sample) => perSecond(sample) / BYTES_PER_MB, digits: 0 },
    {
      title: "CPU ms per MB",
      value: (sample) => (sample.cpuSeconds * 1000) / (sample.count / BYTES_PER_MB),
      digits: 2,
    },
  ],
  latency: LATENCY,
};

/** Prints medians over the rounds, and each median's ratio to the bare workerd's and to the app's own. */
export function printReport(samples: Samples, targets: Targets, rounds: number): void {
  const processor = cpus();
  console.log(
    `# Bench\n\nMedians of ${rounds} interleaved rounds on ${processor.length} cores ` +
      `(${processor[0]?.model.trim() ?? "unknown"}), the load generator on the same machine. ` +
      "In brackets: times the bare workerd's, times the app's own.",
  );
  for (const [measure, byTarget] of samples) {
    const columns = COLUMNS[measure.unit];
    const medianOf = (target: Target, column: Column) =>
      median((byTarget.get(target) ?? []).map(column.value));
    console.log(`\n## ${measure.name}\n`);
    console.log(`| | ${columns.map(({ title }) => title).join(" | ")} |`);
    console.log(`|---|${"---:|".repeat(columns.length)}`);
    for (const target of targets.all) {
      const cells = columns.map((column) => {
        const value = medianOf(target, column);
        const ratios = [targets.bare, targets.app].map((base) =>
          (value / medianOf(base, column)).toFixed(2),
        );
        return `${value.toFixed(column.digits)} (${ratios.join(", ")})`;
      });
      console.log(`| ${target.name} | ${cells.join(" | ")} |`);
    }
  }
}
