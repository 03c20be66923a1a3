/** How long a call waits whose request could not be sent, before it is tried again. Pure. */

const FIRST_PAUSE_MS = 1_000;
const LAST_PAUSE_MS = 30_000;

/** The pause before the next try. @param unsent how often the request could not be sent before */
export function pauseBeforeRetryMs(unsent: number): number {
  return Math.min(FIRST_PAUSE_MS * 2 ** unsent, LAST_PAUSE_MS);
}
