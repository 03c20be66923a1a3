/**
 * Decides when the place of a call is free again that ended before the app's work on it. Such a call keeps its place
 * while the app still works on it, since the next call would find the GPU busy. Where an app does not end that work,
 * its container is replaced.
 */
import { SECOND_MS } from "../../base/units.ts";
import { within } from "../../base/runtime/within.ts";
import type { Settlement } from "../calls/call.ts";
import type { EndpointConfig } from "../config/app-config.ts";
import type { QueuedCall } from "./queued-call.ts";
import type { ServingContainer } from "./serving-container.ts";

/** A process that is dying breaks its connections first and refuses new ones last: the next call waits so long. */
const DYING_MS = 100;

/** An app needs a moment to notice a disconnect, also where its exit_grace_period is none. */
const LEAST_GRACE_MS = 1_000;

export interface GraceOptions {
  readonly settings: EndpointConfig;
  /** Ends every wait: the endpoint is closed. */
  readonly closing: AbortSignal;
  /** The place of a call is free. */
  readonly onFree: (queued: QueuedCall, how: Settlement) => void;
  /** The app does not come to an end with a call. */
  readonly onStuck: (containerId: string, callId: string, afterS: number) => void;
}

export class Grace {
  readonly #options: GraceOptions;

  constructor(options: GraceOptions) {
    this.#options = options;
  }

  /** Frees the place of a call that has ended, when the app has no more work on it. */
  async release(queued: QueuedCall, how: Settlement): Promise<void> {
    const { call, container } = queued;
    if (container !== undefined && how !== "completed") {
      if (how === "broke") await this.untilExited(container, DYING_MS);
      await this.#untilGivenUp(call.callId, container);
    }
    this.#options.onFree(queued, how);
  }

  /** Waits until the container has exited; false where it does not within this time. */
  async untilExited(container: ServingContainer, limitMs: number): Promise<boolean> {
    const { settings, closing } = this.#options;
    // Nothing tells of an upstream server's exit.
    if (settings.kind.type === "upstream") return false;
    const exited = container.exited.then(() => true);
    return (await within(limitMs, exited, { signal: closing })) === true;
  }

  async #untilGivenUp(callId: string, container: ServingContainer): Promise<void> {
    const { settings, closing, onStuck } = this.#options;
    const graceMs = Math.max(LEAST_GRACE_MS, settings.exitGracePeriod * SECOND_MS);
    const gaveUp = container.gaveUp(callId).then(() => true);
    if (await within(graceMs, gaveUp, { signal: closing })) return;
    if (!closing.aborted) onStuck(container.id, callId, graceMs / SECOND_MS);
  }
}
