/**
 * Keeps one supervisor that waits for a command. To start it takes the agent longer than all else that it does for a cold
 * start: the system copies the tables of the agent's memory for the new process.
 */
import type { ChildProcess } from "node:child_process";
import { systemTimer, type Timer } from "../../base/runtime/timer.ts";
import { type CommandSupervisor, startSupervisor } from "./supervisor.ts";

/** A container that starts has the machine to itself meanwhile. */
const REFILL_AFTER_MS = 2_000;

interface Spare {
  readonly supervisor: CommandSupervisor;
  readonly child: ChildProcess;
}

export class SpareSupervisor {
  readonly #timer: Timer;
  #spare: Spare | undefined;
  #forgetRefill: (() => void) | undefined;
  #isClosed = false;

  constructor(timer: Timer = systemTimer) {
    this.#timer = timer;
  }

  /** The one that waits, where it is of this kind; undefined where the caller is to start one. Another one follows later. */
  take(supervisor: CommandSupervisor): ChildProcess | undefined {
    const spare = this.#spare;
    this.#forgetRefill?.();
    if (!this.#isClosed) {
      this.#forgetRefill = this.#timer(() => this.#refill(supervisor), REFILL_AFTER_MS);
    }
    if (spare?.supervisor.program !== supervisor.program) return undefined;
    this.#spare = undefined;
    spare.child.ref();
    return spare.child;
  }

  /** Ends the one that waits. */
  close(): void {
    this.#isClosed = true;
    this.#forgetRefill?.();
    this.#spare?.child.kill();
    this.#spare = undefined;
  }

  #refill(supervisor: CommandSupervisor): void {
    if (this.#spare !== undefined) return;
    const spare = { supervisor, child: startSupervisor(supervisor, true) };
    this.#spare = spare;
    const forget = (): void => {
      if (this.#spare === spare) this.#spare = undefined;
    };
    // Without one, the next start does as the first.
    spare.child.once("error", forget);
    spare.child.once("exit", forget);
    // It ends by itself when the agent does.
    spare.child.unref();
  }
}
