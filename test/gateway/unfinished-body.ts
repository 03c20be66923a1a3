/** A request body that never ends, and a timer that a test advances by hand. */
import type { Timer } from "../../base/runtime/timer.ts";

interface UnfinishedBody {
  readonly body: ReadableStream<Uint8Array>;
  /** How often somebody has asked for bytes. */
  readonly pulls: () => number;
  /** Resolves when the reader gives the body up. */
  readonly cancelled: Promise<void>;
}

/** Gives this text, then nothing. */
export function unfinishedBody(text = ""): UnfinishedBody {
  const cancelled = Promise.withResolvers<void>();
  let pulls = 0;
  const body = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        pulls += 1;
        if (pulls === 1 && text !== "") controller.enqueue(new TextEncoder().encode(text));
        else await cancelled.promise;
      },
      cancel: () => cancelled.resolve(),
    },
    { highWaterMark: 0 },
  );
  return { body, pulls: () => pulls, cancelled: cancelled.promise };
}

interface ManualTimer {
  readonly timer: Timer;
  /** Waits until somebody has set a timer, then calls back all that are due after this time. */
  readonly pass: (ms: number) => Promise<void>;
}

export function manualTimer(): ManualTimer {
  const set = new Map<() => void, number>();
  let onSet = Promise.withResolvers<void>();
  return {
    timer(callback, delayMs) {
      set.set(callback, delayMs);
      onSet.resolve();
      return () => set.delete(callback);
    },
    async pass(ms) {
      await onSet.promise;
      onSet = Promise.withResolvers<void>();
      for (const [callback, delayMs] of set) if (delayMs <= ms) callback();
    },
  };
}
