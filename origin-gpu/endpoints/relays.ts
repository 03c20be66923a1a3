/**
 * The WebSockets of an endpoint: each lives at most `max_duration`, and ends with its container and the endpoint. A
 * container that is to end waits for its calls; a socket may never end by itself, and has a time.
 */
import type { Relay } from "../websocket/relay.ts";

/** RFC 6455, 7.4.1: going away. */
const GOING_AWAY = 1001;

const CONTAINER_ENDS = "its container ends";

export class Relays {
  /** Each with the id of its container. */
  readonly #open = new Map<Relay, string>();
  /** Containers that take no more calls, with the timer of their sockets' end; undefined when that has come. */
  readonly #draining = new Map<string, ReturnType<typeof setTimeout> | undefined>();
  readonly #log: (line: string) => void;

  /** @param log one line for the operator */
  constructor(log: (line: string) => void) {
    this.#log = log;
  }

  /** Keeps a relay until it closes, and closes it after `maxDurationMs`. The log tells when Postern closed it. */
  add(relay: Relay, containerId: string, maxDurationMs: number): void {
    this.#open.set(relay, containerId);
    const isLate = this.#draining.has(containerId) && !this.#draining.get(containerId);
    if (isLate) relay.close(GOING_AWAY, CONTAINER_ENDS);
    const limit = setTimeout(() => {
      relay.close(GOING_AWAY, "the socket was open for max_duration");
    }, maxDurationMs);
    void relay.closed.then(({ by, code, reason }) => {
      clearTimeout(limit);
      this.#open.delete(relay);
      if (by === "agent") this.#log(`postern: closed a WebSocket with ${code}: ${reason}`);
    });
  }

  /** The container takes no more calls: its sockets are closed after this time. */
  drain(containerId: string, graceMs: number): void {
    const timer = setTimeout(() => {
      this.#draining.set(containerId, undefined);
      this.closeAt(containerId);
    }, graceMs);
    timer.unref();
    this.#draining.set(containerId, timer);
  }

  /** The container does not drain any more: it ends, or sleeps. */
  drained(containerId: string): void {
    clearTimeout(this.#draining.get(containerId));
    this.#draining.delete(containerId);
  }

  /** Closes those of a container. */
  closeAt(containerId: string): void {
    for (const [relay, id] of this.#open) {
      if (id === containerId) relay.close(GOING_AWAY, CONTAINER_ENDS);
    }
  }

  /** Closes all. @param reason told to client and app */
  closeAll(reason: string): void {
    for (const relay of this.#open.keys()) relay.close(GOING_AWAY, reason);
  }
}
