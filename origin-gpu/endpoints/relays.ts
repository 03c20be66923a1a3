/** The WebSockets of an endpoint: each lives at most `max_duration`, and all end with the endpoint. */
import type { Relay } from "../websocket/relay.ts";

/** RFC 6455, 7.4.1: going away. */
const GOING_AWAY = 1001;

export class Relays {
  readonly #open = new Set<Relay>();
  readonly #log: (line: string) => void;

  /** @param log one line for the operator */
  constructor(log: (line: string) => void) {
    this.#log = log;
  }

  /** Keeps a relay until it closes, and closes it after `maxDurationMs`. The log tells when Postern closed it. */
  add(relay: Relay, maxDurationMs: number): void {
    this.#open.add(relay);
    const limit = setTimeout(() => {
      relay.close(GOING_AWAY, "the socket was open for max_duration");
    }, maxDurationMs);
    void relay.closed.then(({ by, code, reason }) => {
      clearTimeout(limit);
      this.#open.delete(relay);
      if (by === "agent") this.#log(`postern: closed a WebSocket with ${code}: ${reason}`);
    });
  }

  /** Closes all. @param reason told to client and app */
  closeAll(reason: string): void {
    for (const relay of this.#open) relay.close(GOING_AWAY, reason);
  }
}
