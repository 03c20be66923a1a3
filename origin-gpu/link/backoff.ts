/** When a lost link is dialled again. Pure: time and randomness are arguments. */
import {
  RECONNECT_EARLY_PHASE_MS,
  RECONNECT_FIRST_MS,
  RECONNECT_MAX_EARLY_MS,
  RECONNECT_MAX_MS,
} from "../../routing/wire/limits.ts";

/**
 * Milliseconds to wait before try number `attempt` (0 is the first after the loss): full jitter over a
 * delay that doubles, so that a thousand boxes do not dial a restarted gateway in the same instant.
 * @param elapsedMs since the link was lost @param random in [0, 1)
 */
export function reconnectDelayMs(attempt: number, elapsedMs: number, random: number): number {
  const most = elapsedMs < RECONNECT_EARLY_PHASE_MS ? RECONNECT_MAX_EARLY_MS : RECONNECT_MAX_MS;
  return random * Math.min(most, RECONNECT_FIRST_MS * 2 ** attempt);
}
