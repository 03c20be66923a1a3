/** Asks a ready container for its health, and tells once when it is hung. core/health.ts has the rule. */
import { SECOND_MS } from "../../base/units.ts";
import { systemTimer, type Timer } from "../../base/runtime/timer.ts";
import type { EndpointConfig } from "../config/app-config.ts";
import { type HealthAnswer, WELL, afterQuestion, isHung } from "../core/health.ts";
import type { ContainerAddress } from "./container.ts";
import { answerProblem, askContainer, type ContainerAnswer } from "./container-request.ts";

/** An answer is waited for until the next question is due, and no longer than this. */
const LONGEST_WAIT_MS = 10_000;

export interface HealthWatchOptions {
  readonly settings: Pick<EndpointConfig, "healthInterval" | "timeout">;
  readonly healthPath: string;
  readonly address: ContainerAddress;
  /** Whether it works on calls. */
  readonly isBusy: () => boolean;
  /** Called at most once, with what was seen last, for the operator. */
  readonly onHung: (reason: string) => void;
  readonly timer?: Timer;
  readonly now?: () => number;
  readonly ask?: (signal: AbortSignal) => Promise<ContainerAnswer>;
}

export class HealthWatch {
  readonly #options: HealthWatchOptions;
  readonly #timer: Timer;
  readonly #now: () => number;
  readonly #ask: (signal: AbortSignal) => Promise<ContainerAnswer>;
  readonly #stopped = new AbortController();
  #history = WELL;
  #cancel: () => void;

  /** Asks for the first time after one interval. */
  constructor(options: HealthWatchOptions) {
    this.#options = options;
    const { address, healthPath: path } = options;
    this.#timer = options.timer ?? systemTimer;
    this.#now = options.now ?? (() => performance.now());
    const request = { method: "GET", path, headers: {} } as const;
    this.#ask =
      options.ask ??
      (async (signal) => await askContainer(address, request, { signal, until: "head" }));
    this.#cancel = this.#timer(() => void this.#question(), this.#intervalMs);
  }

  /** Asks no more: the container sleeps, drains or ends. */
  stop(): void {
    this.#cancel();
    this.#stopped.abort();
  }

  get #intervalMs(): number {
    return this.#options.settings.healthInterval * SECOND_MS;
  }

  async #question(): Promise<void> {
    const { settings, healthPath, isBusy, onHung } = this.#options;
    const askedAtMs = this.#now();
    const late = new AbortController();
    this.#cancel = this.#timer(() => late.abort(), Math.min(this.#intervalMs, LONGEST_WAIT_MS));
    const answer = await this.#ask(AbortSignal.any([late.signal, this.#stopped.signal]));
    this.#cancel();
    if (this.#stopped.signal.aborted) return;
    const nowMs = this.#now();
    const question = {
      answer: healthOf(answer),
      askedAtMs,
      nowMs,
      patienceMs: isBusy() ? settings.timeout * SECOND_MS : 0,
    };
    this.#history = afterQuestion(this.#history, question);
    if (isHung(this.#history, question)) {
      this.stop();
      const { failures } = this.#history;
      onHung(`GET ${healthPath} ${answerProblem(answer)}, ${failures} times in a row`);
      return;
    }
    const nextInMs = Math.max(0, askedAtMs + this.#intervalMs - nowMs);
    this.#cancel = this.#timer(() => void this.#question(), nextInMs);
  }
}

function healthOf(answer: ContainerAnswer): HealthAnswer {
  if (answerProblem(answer) === undefined) return "well";
  return answer.kind === "silent" ? "silent" : "unwell";
}
