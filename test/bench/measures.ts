/** What the bench measures: one row for each table of its report. */
import type { Load } from "./load/main.ts";

/** How a measure is shown: `report.ts` has the columns of each. */
export type MeasureForm = "rate" | "bulk" | "latency" | "wait" | "delay" | "memory";

export interface Measure {
  readonly name: string;
  readonly form: MeasureForm;
  readonly load: Load;
  /** Memory that a process has once had it does not give back: these need processes of their own. */
  readonly isFresh?: true;
}

const MIB = 1024 * 1024;
const CHUNKS_PER_SECOND = 50;
const WAIT_MS = 10;
const MEMORY_STREAMS = 500;

const counted = (count: number, noun: string): string =>
  `${count} ${noun}${count === 1 ? "" : "s"}`;

/** `isQuick` is to see that each works: its figures are rough. */
export function allMeasures(isQuick: boolean): readonly Measure[] {
  const forMs = isQuick ? 400 : 1200;
  const bytes = (isQuick ? 64 : 256) * MIB;
  const settleMs = isQuick ? 300 : 1000;
  const delay = { kind: "chunk delays", intervalMs: 1000 / CHUNKS_PER_SECOND } as const;
  return [
    ...[1, 16, 64].map((connections) => ({
      name: `requests, ${counted(connections, "connection")}`,
      form: "rate" as const,
      load: { kind: "requests" as const, connections, forMs },
    })),
    ...[1, 16].map((connections) => ({
      name: `a call of ${WAIT_MS} ms, ${counted(connections, "connection")}`,
      form: "wait" as const,
      load: { kind: "waits" as const, connections, forMs, waitMs: WAIT_MS },
    })),
    {
      name: "first chunk of a stream",
      form: "latency",
      load: { kind: "first chunks", count: Math.ceil(forMs / 15) },
    },
    ...[50, 200, 500].map((streams) => ({
      name: `chunk delay, ${streams} streams of ${CHUNKS_PER_SECOND} chunks/s`,
      form: "delay" as const,
      load: { ...delay, streams, settleMs, forMs },
    })),
    { name: "download", form: "bulk", load: { kind: "download", bytes } },
    { name: "upload", form: "bulk", load: { kind: "upload", bytes } },
    ...[1, 50].map((connections) => ({
      name: `WebSocket round trips, ${counted(connections, "socket")}`,
      form: "rate" as const,
      load: { kind: "websockets" as const, connections, forMs },
    })),
    {
      name: `memory of ${MEMORY_STREAMS} streams of 1 chunk/s`,
      form: "memory",
      load: {
        kind: "stream memory",
        streams: MEMORY_STREAMS,
        intervalMs: 1000,
        settleMs: isQuick ? 3000 : 8000,
      },
      isFresh: true,
    },
  ];
}
