/**
 * The WebSockets of an endpoint: each lives at most `max_duration`, and ends with its container and the endpoint. A
 * container that is to end waits for its calls; a socket may never end by itself, and has a time.
 */
import type { Relay } from "../websocket/relay.ts";

/** RFC 6455, 7.4.1: going away. */
const GOING_AWAY = 1001;

const CONTAINER_ENDS = "its container ends";
const CONTAINER_SLEEPS = "its container sleeps";

/** The end of a container's sockets while it drains. */
interface Drain {
  readonly reason: string;
  readonly timer: ReturnType<typeof setTimeout>;
  /** The time has come: sockets that open late are closed too. */
  isOver: boolean;
}

export class Relays {
  /** Each with the id of its container. */
  readonly #open = new Map<Relay, string>();
  /** By containers that take no more calls. */
  readonly #draining = new Map<string, Drain>();
  readonly #log: (line: string) => void;

  /** @param log one line for the operator */
  constructor(log: (line: string) => void) {
    this.#log = log;
  }

  /** Keeps a relay until it closes, and closes it after `maxDurationMs`. The log tells when Postern closed it. */
  add(relay: Relay, containerId: string, maxDurationMs: number): void {
    this.#open.set(relay, containerId);
    const drain = this.#draining.get(containerId);
    if (drain?.isOver === true) relay.close(GOING_AWAY, drain.reason);
    const limit = setTimeout(() => {
      relay.close(GOING_AWAY, "the socket was open for max_duration");
    }, maxDurationMs);
    void relay.closed.then(({ by, code, reason }) => {
      clearTimeout(limit);
      this.#open.delete(relay);
      if (by === "agent") this.#log(`postern: closed a WebSocket with ${code}: ${reason}`);
    });
  }

  /** The container takes no more calls: its sockets are closed after this time. @param sleeps it does not end then */
  drain(containerId: string, graceMs: number, sleeps = false): void {
    const reason = sleeps ? CONTAINER_SLEEPS : CONTAINER_ENDS;
    const timer = setTimeout(() => {
      drain.isOver = true;
      this.closeAt(containerId, reason);
    }, graceMs);
    timer.unref();
    const drain: Drain = { reason, timer, isOver: false };
    this.#draining.set(containerId, drain);
  }

  /** The container does not drain any more: it ends, or sleeps. */
  drained(containerId: string): void {
    clearTimeout(this.#draining.get(containerId)?.timer);
    this.#draining.delete(containerId);
  }

  /** Closes those of a container. */
  closeAt(containerId: string, reason = CONTAINER_ENDS): void {
    for (const [relay, id] of this.#open) {
      if (id === containerId) relay.close(GOING_AWAY, reason);
    }
  }

  /** Closes all. @param reason told to client and app */
  closeAll(reason: string): void {
    for (const relay of this.#open.keys()) relay.close(GOING_AWAY, reason);
  }
}
