/** `--expires`: how long a token is to live. */
import { MAX_CONNECT_TOKEN_S } from "../api/connect-tokens.ts";
import { DAY_S, SECOND_MS } from "../base/units.ts";
import { durationMs } from "./duration.ts";
import { UsageError } from "./failure.ts";

export const EXPIRES_OPTION = {
  expires: { type: "string", value: "TIME", summary: "30d, 12h, 15m or 90s (it does not expire)" },
} as const;

/** Seconds, or undefined where no time is given; throws a UsageError for what is none, or has no unit. */
export function secondsUntilExpiry(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (/^\d{1,9}$/.test(text)) {
    throw new UsageError(
      `--expires: "${text}" has no unit: ${text}d, ${text}h, ${text}m or ${text}s`,
    );
  }
  const seconds = (durationMs(text) ?? 0) / SECOND_MS;
  if (seconds > 0) return seconds;
  throw new UsageError(`--expires: "${text}" is not a time, e.g. 30d, 12h, 15m or 90s`);
}

/** The same for a connect token, which cannot be revoked and so lives for a bounded time. */
export function secondsOfConnectToken(text: string | undefined): number | undefined {
  const seconds = secondsUntilExpiry(text);
  if (seconds === undefined || seconds <= MAX_CONNECT_TOKEN_S) return seconds;
  throw new UsageError(`--expires: "${text}" is more than ${MAX_CONNECT_TOKEN_S / DAY_S}d`);
}
