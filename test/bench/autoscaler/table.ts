/** The autoscaler's results as a table in Markdown. */
import { SECOND_MS } from "../../../base/units.ts";
import type { PoolSettings } from "../../../origin-gpu/core/pool-effects.ts";
import { bestContainerSeconds } from "./best-schedule.ts";
import { simulate } from "./simulate.ts";
import { type Trace, traces } from "./traces.ts";

const START_MS = 10 * SECOND_MS;

/** The defaults of postern.toml, but for the number of containers and of their calls. */
const SETTINGS: PoolSettings = {
  maxInputs: 4,
  targetInputs: 3,
  minContainers: 0,
  maxContainers: 20,
  bufferContainers: 0,
  mayStart: true,
  scaledownWindowMs: 60 * SECOND_MS,
  startupTimeoutMs: 300 * SECOND_MS,
  maxPending: 2_000,
  maxPendingAsync: 1_000_000,
  givesUpStarts: false,
  canSleep: false,
  sessionsMove: true,
  sessionGraceMs: 30_000,
};

const HEAD = [
  "trace",
  "settings",
  "calls",
  "that wait",
  "mean wait",
  "p99",
  "longest",
  "starts",
  "container-seconds",
  "of the best",
] as const;

const VARIANTS: readonly (readonly [name: string, settings: Partial<PoolSettings>])[] = [
  ["defaults", {}],
  ["`min_containers = 1`", { minContainers: 1 }],
  ["`buffer_containers = 1`", { bufferContainers: 1 }],
];

/** Each trace with each variant, a line each. */
export function autoscalerTable(): string {
  const lines = traces().flatMap((trace) =>
    VARIANTS.map(([name, settings]) => line(trace, name, { ...SETTINGS, ...settings })),
  );
  return [HEAD, HEAD.map(() => "---"), ...lines]
    .map((cells) => `| ${cells.join(" | ")} |`)
    .join("\n");
}

function line(trace: Trace, name: string, settings: PoolSettings): string[] {
  const { waitsMs, containerSeconds, starts } = simulate(trace, settings, START_MS);
  const best = bestContainerSeconds(trace.calls, { ...settings, startMs: START_MS });
  const sorted = waitsMs.toSorted((one, other) => one - other);
  const at = (share: number) => sorted[Math.floor(share * (sorted.length - 1))] ?? 0;
  const waiting = waitsMs.filter((ms) => ms > 0).length;
  const sum = waitsMs.reduce((total, ms) => total + ms, 0);
  return [
    trace.name,
    name,
    `${trace.calls.length}`,
    `${((100 * waiting) / waitsMs.length).toFixed(1)} %`,
    seconds(sum / waitsMs.length),
    seconds(at(0.99)),
    seconds(at(1)),
    `${starts}`,
    `${Math.round(containerSeconds)}`,
    `${(containerSeconds / best).toFixed(2)} ×`,
  ];
}

function seconds(ms: number): string {
  return `${(ms / SECOND_MS).toFixed(2)} s`;
}
