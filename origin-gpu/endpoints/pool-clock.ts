/** The time of a box and its pools: an argument, so that tests play hours of it in a moment. */
import { systemTimer, type Timer } from "../../base/runtime/timer.ts";

export interface PoolClock {
  /** In milliseconds. */
  readonly now: () => number;
  readonly timer: Timer;
  /** Its timers alone do not keep the process running. */
  readonly idleTimer: Timer;
}

export const SYSTEM_POOL_CLOCK: PoolClock = {
  now: () => performance.now(),
  timer: systemTimer,
  idleTimer: (callback, delayMs) => {
    const handle = setTimeout(callback, delayMs).unref();
    return () => clearTimeout(handle);
  },
};
