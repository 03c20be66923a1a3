/**
 * Sends a call to the container that it was assigned to. A request that could not be sent waits again. A call whose
 * container died before the first byte of its response is run again where `retries` says so.
 */
import { systemTimer } from "../../base/runtime/timer.ts";
import { SECOND_MS } from "../../base/units.ts";
import type { Failure } from "../../routing/wire/messages.ts";
import { mayResend } from "../../routing/wire/resend.ts";
import type { BatchPolicy } from "../config/app-config.ts";
import type { GatewayAddress } from "../link/gateway-address.ts";
import type { ProxiedCall } from "../proxy/app-request.ts";
import { JsonBatches } from "../proxy/json-batches.ts";
import { proxyWebSocket } from "../proxy/proxy-websocket.ts";
import type { EndpointFiles } from "./endpoint-options.ts";
import type { Grace } from "./grace.ts";
import type { QueuedCall } from "./queued-call.ts";
import type { Relays } from "./relays.ts";
import { delayBeforeRerunMs } from "./rerun-delay.ts";
import { pauseBeforeRetryMs } from "./retry-pause.ts";
import type { ServingContainer } from "./serving-container.ts";

/** A process that died stops listening before its exit is told, which takes this long on a busy machine. */
const EXIT_NOTICED_MS = 1_000;

/** From SIGKILL to the exit. */
const KILLED_MS = 10_000;

export interface SenderOptions {
  readonly gateway: GatewayAddress;
  /** Keeps the WebSockets. */
  readonly relays: Relays;
  readonly grace: Grace;
  readonly files?: EndpointFiles | undefined;
  /** Requests of one path that the app is given as one; absent where its container collects them itself. */
  readonly batch?: BatchPolicy | undefined;
  /** The call holds no container up any more; it is not over. */
  readonly onPlaceless: (queued: QueuedCall) => void;
  /** Its place is free. */
  readonly onLeft: (queued: QueuedCall) => void;
  /** It waits in its old place; its place at the container is free. */
  readonly onRequeued: (queued: QueuedCall) => void;
  /** One that left has ended, and does not come back. */
  readonly onEnded: (queued: QueuedCall) => void;
  /** One that left comes back. */
  readonly onBack: (queued: QueuedCall) => void;
}

export class Sender {
  readonly #options: SenderOptions;
  /** Calls in their pause: each comes back at once. */
  readonly #pausing = new Set<() => void>();
  readonly #batches = new WeakMap<ServingContainer, JsonBatches>();
  #isRetired = false;

  constructor(options: SenderOptions) {
    this.#options = options;
  }

  /** Some calls pause: they have no place, and are in no queue. */
  get hasPausing(): boolean {
    return this.#pausing.size > 0;
  }

  /**
   * Calls that pause come back at once, and are given to another endpoint.
   * @param keepsSessions some calls begin here still
   */
  retire(keepsSessions: boolean): void {
    this.#isRetired = !keepsSessions;
    for (const comeBack of this.#pausing) comeBack();
  }

  async send(queued: QueuedCall, container: ServingContainer): Promise<void> {
    const { call, settings, arrivedAt } = queued;
    if (call.over) return;
    // Until the container was ready it waited for a start, and after that for its turn.
    const turnBeganAt = Math.max(arrivedAt, container.readyAt);
    const waited = {
      queue: Math.round(performance.now() - turnBeganAt),
      start: Math.round(turnBeganAt - arrivedAt),
    };
    if (call.head.websocket !== undefined) {
      await this.#connect(queued, container);
      return;
    }
    const bringing = this.#options.files?.bring(call);
    if (bringing !== undefined) await bringing;
    if (call.over) return;
    const start = await call.recordStart();
    if (start === "over") return;
    if (start === "no_room") {
      this.#waitOn(queued, NOT_RECORDED);
      return;
    }
    const limits = {
      timeoutMs: settings.timeout * SECOND_MS,
      maxDurationMs: settings.maxDuration * SECOND_MS,
    };
    this.#proxy(queued, container, { call, waited, limits, hostHeader: settings.hostHeader });
  }

  async #connect(queued: QueuedCall, container: ServingContainer): Promise<void> {
    const { call, settings, link } = queued;
    const { gateway, relays } = this.#options;
    const relay = await proxyWebSocket(call, container.address, {
      gateway,
      link,
      maxMessageBytes: settings.websocketMaxMessage,
      hostHeader: settings.hostHeader,
      onHead: (rawHeaders) => container.connections.onOtherHead(rawHeaders),
      onRefused: async () => await this.#refused(queued, container),
    });
    if (relay !== undefined) relays.add(relay, container.id, settings.maxDuration * SECOND_MS);
  }

  #proxy(queued: QueuedCall, container: ServingContainer, proxied: ProxiedCall): void {
    const isRetried = queued.settings.retries.maxRetries > 0;
    const refused = async (): Promise<void> => await this.#refused(queued, container);
    const broke = isRetried
      ? async (fail: () => void): Promise<void> => await this.#retry(queued, container, fail)
      : undefined;
    if (this.#batchesOf(container)?.take(proxied, refused, broke) === true) return;
    container.connectionsFor(queued.settings).send(proxied, refused, broke);
  }

  /** No byte of the request has left. Where nobody listens there any more, the call waits as if never assigned. */
  async #refused(queued: QueuedCall, container: ServingContainer): Promise<void> {
    const { grace, onPlaceless, onRequeued } = this.#options;
    const hasExited = container.isEnding || (await grace.untilExited(container, EXIT_NOTICED_MS));
    // Its connections are closed before its end begins.
    const isGone = hasExited || container.isEnding;
    if (queued.call.over) return;
    queued.call.withdraw();
    if (!isGone) {
      this.#waitOn(queued, NOT_LISTENING);
      return;
    }
    queued.container = undefined;
    onPlaceless(queued);
    onRequeued(queued);
  }

  #batchesOf(container: ServingContainer): JsonBatches | undefined {
    const { batch } = this.#options;
    if (batch === undefined) return undefined;
    const known = this.#batches.get(container);
    if (known !== undefined) return known;
    const clock = { timer: systemTimer, now: () => performance.now() };
    const batches = new JsonBatches(batch, container.connections.ask, clock);
    this.#batches.set(container, batches);
    return batches;
  }

  /** The connection broke before the first byte of a response. @param fail where the call is not run again */
  async #retry(queued: QueuedCall, container: ServingContainer, fail: () => void): Promise<void> {
    const { call, settings } = queued;
    const { reruns } = call;
    const hasDied = await this.#hasDied(container, settings.exitGracePeriod * SECOND_MS);
    if (!hasDied || !mayRunAgain(queued) || !call.retry()) {
      fail();
      return;
    }
    const delayMs = delayBeforeRerunMs(settings.retries, reruns);
    queued.container = undefined;
    this.#options.onPlaceless(queued);
    const timer = setTimeout(() => {
      if (!call.over) this.#options.onRequeued(queued);
    }, delayMs);
    timer.unref();
  }

  /** Waits for the end of a container whose connection broke. One that is being ended may take its grace. */
  async #hasDied(container: ServingContainer, graceMs: number): Promise<boolean> {
    const { grace } = this.#options;
    if (await grace.untilExited(container, EXIT_NOTICED_MS)) return true;
    return container.isEnding && (await grace.untilExited(container, graceMs + KILLED_MS));
  }

  /** The call has not begun. It waits where its client was told that it goes on, and fails elsewhere. */
  #waitOn(queued: QueuedCall, failure: Failure): void {
    const { call, settings } = queued;
    const isDue = performance.now() - call.openedAt < settings.resultTtl * SECOND_MS;
    if (call.isPromised && isDue) this.#queueLater(queued);
    else call.fail(failure);
  }

  /** Queues a call anew after a pause; meanwhile others have its place. */
  #queueLater(queued: QueuedCall): void {
    const { call, unsent } = queued;
    const { onPlaceless, onLeft, onEnded, onBack } = this.#options;
    const endPause = (): void => {
      clearTimeout(timer);
      this.#pausing.delete(comeBack);
    };
    const comeBack = (): void => {
      endPause();
      onBack({ ...queued, container: undefined, unsent: unsent + 1 });
    };
    const timer = setTimeout(comeBack, this.#isRetired ? 0 : pauseBeforeRetryMs(unsent));
    timer.unref();
    this.#pausing.add(comeBack);
    call.whenSettled(() => {
      endPause();
      onEnded(queued);
    });
    onPlaceless(queued);
    onLeft(queued);
  }
}

/** The endpoint lets the call run once more than it has. */
function mayRunAgain({ call, settings }: QueuedCall): boolean {
  const { head, isDurable, reruns } = call;
  const isRepeatable = reruns < settings.retries.maxRetries;
  const terms = { method: head.method, isKeyed: head.key !== undefined, isDurable, isRepeatable };
  // A method that is safe allows it too, and the endpoint has the word.
  return isRepeatable && mayResend("started", terms);
}

const NOT_LISTENING: Failure = {
  code: "origin_error",
  detail: "the app accepts no connections",
};

const NOT_RECORDED: Failure = {
  code: "starting_failed",
  detail: "this box has no room to record it",
};
