/**
 * Puts an app's new files in the place of those that it runs on: `postern serve` after an edit. A version
 * that can't be read or doesn't start leaves the last good one serving; an edit that comes meanwhile ends
 * the attempt, so that nobody waits for what is already mended.
 */

import { AgentRefused, StartFailure, type RunningAgent } from "../origin-gpu/agent.ts";
import type { AppConfig } from "../origin-gpu/config/config.ts";
import { CommandFailure } from "./failure.ts";

export interface ReloaderOptions {
  readonly agent: Pick<RunningAgent, "change">;
  /** Reads the app as it is now; a CommandFailure says what is wrong with it. */
  readonly read: () => Promise<AppConfig>;
  /** The new version serves. */
  readonly onReloaded: (config: AppConfig) => Promise<void>;
  /** One line for the person at the terminal. */
  readonly log: (line: string) => void;
}

const GOES_ON = "the version before it goes on";

export class Reloader {
  readonly #options: ReloaderOptions;
  #attempt = new AbortController();
  #idle: Promise<void> = Promise.resolve();

  constructor(options: ReloaderOptions) {
    this.#options = options;
  }

  /** The app's files have changed. */
  reload(): void {
    this.#attempt.abort();
    this.#attempt = new AbortController();
    const { signal } = this.#attempt;
    this.#idle = this.#idle.then(async () => await this.#try(signal));
  }

  /** Resolves when nothing is under way; no attempt is begun any more. */
  async close(): Promise<void> {
    this.#attempt.abort();
    await this.#idle;
  }

  async #try(signal: AbortSignal): Promise<void> {
    if (signal.aborted) return;
    const { agent, read, onReloaded, log } = this.#options;
    try {
      const config = await read();
      log("postern: files changed; starting the new version");
      await agent.change(config, signal);
      log("postern: the new version serves");
      await onReloaded(config);
    } catch (error) {
      if (!isExpected(error)) throw error;
      // A newer edit has ended it and speaks for itself.
      if (!signal.aborted) log(`postern: ${error.message}; ${GOES_ON}`);
    }
  }
}

function isExpected(error: unknown): error is Error {
  return (
    error instanceof CommandFailure ||
    error instanceof AgentRefused ||
    error instanceof StartFailure
  );
}
