/** Timers as an argument: production code passes `systemTimer`, tests pass one that they advance by hand. */

/** Calls back once after `delayMs`; the returned function cancels that. */
export type Timer = (callback: () => void, delayMs: number) => () => void;

export const systemTimer: Timer = (callback, delayMs) => {
  const handle = setTimeout(callback, delayMs);
  return () => clearTimeout(handle);
};
