/** Times that users say with a unit. */
import { DAY_S, HOUR_S, MINUTE_S, SECOND_MS } from "../base/units.ts";

const SECONDS = { s: 1, m: MINUTE_S, h: HOUR_S, d: DAY_S } as const;

/** The milliseconds of `90s`, `15m`, `12h` or `30d`; undefined for anything else. */
export function durationMs(text: string): number | undefined {
  const [, count, unit] = /^(\d{1,9})([smhd])$/.exec(text) ?? [];
  if (unit === undefined) return undefined;
  return Number(count) * SECONDS[unit as keyof typeof SECONDS] * SECOND_MS;
}
