/** `--expires`: how long a token is to live. */
import { DAY_S, HOUR_S, MINUTE_S } from "../base/units.ts";
import { UsageError } from "./failure.ts";

const SECONDS = { s: 1, m: MINUTE_S, h: HOUR_S, d: DAY_S } as const;

export const EXPIRES_OPTION = {
  expires: { type: "string", value: "TIME", summary: "30d, 12h, 15m or 90s (it does not expire)" },
} as const;

/** Seconds, or undefined where no time is given; throws a UsageError for what is none, or has no unit. */
export function secondsUntilExpiry(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const [, count, unit] = /^(\d{1,9})([smhd]?)$/.exec(text) ?? [];
  if (unit === "") {
    throw new UsageError(
      `--expires: "${text}" has no unit: ${count}d, ${count}h, ${count}m or ${count}s`,
    );
  }
  const seconds = Number(count) * SECONDS[unit as keyof typeof SECONDS];
  if (seconds > 0) return seconds;
  throw new UsageError(`--expires: "${text}" is not a time, e.g. 30d, 12h, 15m or 90s`);
}
