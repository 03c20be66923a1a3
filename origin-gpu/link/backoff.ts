/** When a link dials again. Pure: time and randomness are arguments. */
import {
  RECONNECT_EARLY_PHASE_MS,
  RECONNECT_FIRST_MS,
  RECONNECT_MAX_EARLY_MS,
  RECONNECT_MAX_MS,
} from "../../routing/wire/limits.ts";

/**
 * Milliseconds to wait before a try: full jitter over a delay that doubles, so that a thousand boxes do not dial a
 * restarted gateway at once.
 * @param tries since the loss; 0 before the first one
 * @param elapsedMs since the loss
 * @param random in [0, 1)
 */
export function reconnectDelayMs(tries: number, elapsedMs: number, random: number): number {
  const most = elapsedMs < RECONNECT_EARLY_PHASE_MS ? RECONNECT_MAX_EARLY_MS : RECONNECT_MAX_MS;
  return random * Math.min(most, RECONNECT_FIRST_MS * 2 ** tries);
}
