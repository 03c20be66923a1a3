/**
 * Tells a running command when to end. The first Ctrl-C, SIGTERM or SIGHUP asks it to finish its work. A second one, or
 * the loss of the wrapper before this process, asks it to end at once.
 */

/**
 * Signals within this time are one key press: npm and the wrapper (postern.js) pass on a signal that the terminal has
 * sent to all processes. No person presses twice this fast.
 */
const SAME_PRESS_MS = 300;

const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

export interface StopSignals {
  /** Resolves when the command should drain and end. */
  readonly asked: Promise<void>;
  /** Resolves when the command should end at once; `asked` has resolved by then. */
  readonly insisted: Promise<void>;
}

/** Starts listening. From here on the signals no longer end the process by themselves. */
export function listenForStop(now: () => number = performance.now.bind(performance)): StopSignals {
  const asked = Promise.withResolvers<void>();
  const insisted = Promise.withResolvers<void>();
  let askedAt: number | undefined;
  const onSignal = (): void => {
    if (askedAt === undefined) {
      askedAt = now();
      asked.resolve();
    } else if (now() - askedAt >= SAME_PRESS_MS) {
      insisted.resolve();
    }
  };
  for (const signal of SIGNALS) process.on(signal, onSignal);
  // Only the wrapper starts this process with a channel. It must not keep the process alive by itself.
  process.once("disconnect", () => {
    asked.resolve();
    insisted.resolve();
  });
  process.channel?.unref();
  return { asked: asked.promise, insisted: insisted.promise };
}

/** Signals that also ask the command to finish after so many seconds. */
export function stopAfter(stop: StopSignals, seconds: number): StopSignals {
  const over = new Promise<void>((resolve) => {
    setTimeout(resolve, seconds * 1_000).unref();
  });
  return { asked: Promise.race([stop.asked, over]), insisted: stop.insisted };
}
