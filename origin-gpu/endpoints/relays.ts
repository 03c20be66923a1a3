/** The WebSockets of an endpoint: each lives at most `max_duration`, and ends with its container and the endpoint. */
import type { Relay } from "../websocket/relay.ts";

/** RFC 6455, 7.4.1: going away. */
const GOING_AWAY = 1001;

export class Relays {
  /** Each with the id of its container. */
  readonly #open = new Map<Relay, string>();
  readonly #log: (line: string) => void;

  /** @param log one line for the operator */
  constructor(log: (line: string) => void) {
    this.#log = log;
  }

  /** Keeps a relay until it closes, and closes it after `maxDurationMs`. The log tells when Postern closed it. */
  add(relay: Relay, containerId: string, maxDurationMs: number): void {
    this.#open.set(relay, containerId);
    const limit = setTimeout(() => {
      relay.close(GOING_AWAY, "the socket was open for max_duration");
    }, maxDurationMs);
    void relay.closed.then(({ by, code, reason }) => {
      clearTimeout(limit);
      this.#open.delete(relay);
      if (by === "agent") this.#log(`postern: closed a WebSocket with ${code}: ${reason}`);
    });
  }

  /** Closes those of a container. @param reason told to client and app */
  closeAt(containerId: string, reason: string): void {
    for (const [relay, id] of this.#open) if (id === containerId) relay.close(GOING_AWAY, reason);
  }

  /** Closes all. @param reason told to client and app */
  closeAll(reason: string): void {
    for (const relay of this.#open.keys()) relay.close(GOING_AWAY, reason);
  }
}
