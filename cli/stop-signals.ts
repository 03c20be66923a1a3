/**
 * Tells a running command when to end. The first Ctrl-C, SIGTERM or SIGHUP asks it to finish its work. A second one, or
 * the loss of the wrapper before this process, asks it to end at once. SIGUSR2 asks an agent to finish its work and to
 * leave its containers to the next agent.
 */
import { CommandFailure } from "./failure.ts";

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
  /** Whether the next agent is to take over what runs. */
  readonly isHandOver: () => boolean;
}

const HAND_OVER = "SIGUSR2";

interface ListenOptions {
  readonly now?: () => number;
  /** SIGUSR2 has its meaning too. */
  readonly handsOver?: boolean;
}

/** Starts listening. From here on the signals no longer end the process by themselves. */
export function listenForStop({
  now = performance.now.bind(performance),
  handsOver = false,
}: ListenOptions = {}): StopSignals {
  let isHandOver = false;
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
  if (handsOver) {
    process.on(HAND_OVER, () => {
      // One that ends already has stopped containers.
      if (askedAt !== undefined) return;
      isHandOver = true;
      onSignal();
    });
  }
  // Only the wrapper starts this process with a channel. It must not keep the process alive by itself.
  process.once("disconnect", () => {
    asked.resolve();
    insisted.resolve();
  });
  process.channel?.unref();
  return { asked: asked.promise, insisted: insisted.promise, isHandOver: () => isHandOver };
}

/** Signals that also ask the command to finish after so many seconds. */
export function stopAfter(stop: StopSignals, seconds: number): StopSignals {
  const over = new Promise<void>((resolve) => {
    setTimeout(resolve, seconds * 1_000).unref();
  });
  return { ...stop, asked: Promise.race([stop.asked, over]) };
}

/** The failure of a command that was asked to stop while it started. */
export const STOPPED_EARLY = "stopped before the app was there";

/**
 * Waits for a step of a command's start. A signal of the terminal also ends the step's own processes, so that
 * the step fails: that is no error of its own then.
 * @throws {CommandFailure} when somebody asked to stop
 */
export async function unlessStopped<Value>(
  step: Promise<Value>,
  stop: StopSignals,
): Promise<Value> {
  let isAsked = false;
  void stop.asked.then(() => (isAsked = true));
  try {
    return await step;
  } catch (error) {
    throw isAsked ? new CommandFailure(STOPPED_EARLY) : error;
  }
}

/**
 * Waits for an answer of the gateway, and no longer than until somebody asks to stop: one that is stopped itself does
 * not answer. Nothing but the end of this process ends the request.
 * @throws {CommandFailure} when somebody asked to stop
 */
export async function answerUnlessStopped<Value>(
  answer: Promise<Value>,
  stop: StopSignals,
): Promise<Value> {
  const stopped = stop.asked.then((): never => {
    throw new CommandFailure(STOPPED_EARLY);
  });
  return await Promise.race([answer, stopped]);
}
