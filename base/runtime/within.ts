/** A promise with a time limit. */
import { systemTimer, type Timer } from "./timer.ts";

interface Limits {
  /** Ends the wait as the limit does. */
  signal?: AbortSignal;
  timer?: Timer;
}

/**
 * Settles as `work` does, or with undefined after `limitMs`. The timer is cleared when `work` settles first.
 * A rejection of `work` after the limit is ignored. `work` itself goes on: stop what is no longer wanted.
 */
export async function within<Value>(
  limitMs: number,
  work: Promise<Value>,
  { signal, timer = systemTimer }: Limits = {},
): Promise<Value | undefined> {
  // workerd resumes a continuation in the request that created the promise, and in optimised code only for
  // promises of `withResolvers`.
  const late = Promise.withResolvers<undefined>();
  const giveUp = (): void => late.resolve(undefined);
  const cancel = timer(giveUp, limitMs);
  signal?.addEventListener("abort", giveUp);
  if (signal?.aborted === true) giveUp();
  try {
    return await Promise.race([work, late.promise]);
  } finally {
    cancel();
    signal?.removeEventListener("abort", giveUp);
  }
}
