/** The part that sessions play in one pool: which session a call belongs to, and what becomes of one whose container is gone. Pure. */
import { holdOf, isHandedOut } from "../../routing/affinity/session-key.ts";
import type { LeftSessions } from "./left-sessions.ts";
import type { CallSession } from "./pool-call.ts";
import { placeForCall, placeForSession } from "./container-choice.ts";
import type { PoolContainers, TrackedContainer } from "./pool-containers.ts";
import type { PoolSettings } from "./pool-effects.ts";
import { type Session, type SessionPlace, SessionTable } from "./session-table.ts";

/** A request's keys, and the container that its client says that it has: `gone` for one that is not there any more. */
export interface SessionTraits {
  readonly keys: readonly string[];
  readonly named?: SessionPlace | "gone" | undefined;
}

export class PoolSessions {
  readonly #table: SessionTable;
  readonly #containers: PoolContainers;

  constructor(containers: PoolContainers, table = new SessionTable()) {
    this.#containers = containers;
    this.#table = table;
  }

  /** @returns undefined for a request of no session; "lost" where its container is gone, and it may have no other one */
  enter(
    { keys, named }: SessionTraits,
    mayMove: boolean,
    nowMs: number,
  ): CallSession | "lost" | undefined {
    const own = keys.filter((key) => holdOf(key) !== "box");
    // Files of the box are at any of its containers.
    if (keys.length > 0 && own.length === 0) return undefined;
    const known = this.#table.find(own);
    const place = named === "gone" ? undefined : named;
    const isLost = known?.isLost ?? (place === undefined && (named === "gone" || isOfLost(own)));
    if (isLost && !mayMove && known?.isAdvice !== true) return "lost";
    if (isLost && known !== undefined) this.#table.unsettle(known);
    const session = this.#table.enter(own, place, nowMs);
    if (isLost && known === undefined) session.hasMoved = true;
    return { session, state: undefined };
  }

  /** The container that the call waits for: any, where its session has none here. */
  containerOf(use: CallSession | undefined): TrackedContainer | undefined {
    return use === undefined || use.session.isAdvice ? undefined : this.#placeOf(use.session);
  }

  /** The container for a call that waits for any, and that has none of its own. */
  choose(
    use: CallSession | undefined,
    settings: PoolSettings,
    nowMs: number,
  ): TrackedContainer | undefined {
    if (use === undefined) return placeForCall(this.#containers.all, settings);
    const { session } = use;
    const advised = session.isAdvice ? this.#placeOf(session) : undefined;
    const isOpen = advised?.state === "ready" && advised.calls < settings.maxInputs;
    return isOpen ? advised : placeForSession(this.#containers.all, session, settings, nowMs);
  }

  /** The call waits, and its container is gone. @returns false where its session may have no other one */
  loseContainer({ session }: CallSession, mayMove: boolean): boolean {
    if (!mayMove && !session.isAdvice) return false;
    this.#table.unsettle(session);
    return true;
  }

  /** The container works on the call from now on. */
  begin(use: CallSession, container: TrackedContainer, nowMs: number): void {
    const { session } = use;
    // A conversation whose container is full comes back to it.
    const stays = session.isAdvice && this.#placeOf(session) !== undefined;
    if (session.place === container || stays) use.state ??= "kept";
    else {
      use.state = session.hasMoved ? "moved" : "new";
      this.#table.settle(session, container, nowMs);
    }
    this.#table.begin(session, nowMs);
  }

  end({ session }: CallSession, nowMs: number): void {
    this.#table.end(session, nowMs);
  }

  /** The app has told the client of these keys. */
  learn(use: CallSession | undefined, keys: readonly string[], nowMs: number): void {
    this.#table.learn(use?.session, keys, nowMs);
  }

  /** The container was taken over, and has these sessions. */
  restore(container: TrackedContainer, sessions: LeftSessions, nowMs: number): void {
    this.#table.restore(sessions, container, nowMs);
  }

  tick(nowMs: number): void {
    this.#table.tick(nowMs);
  }

  /** Whether a session's calls are to come to this pool and no other one. */
  has(session: Session): boolean {
    return !session.isAdvice && this.#placeOf(session) !== undefined;
  }

  /** The session had a container, which is not here any more. */
  hasLost({ session }: CallSession): boolean {
    return session.place !== undefined && this.#placeOf(session) === undefined;
  }

  #placeOf({ place }: Session): TrackedContainer | undefined {
    if (place?.keepsSessions !== true) return undefined;
    const container = this.#containers.get(place.number);
    return container === place ? container : undefined;
  }
}

/** An app made one of these keys, and nobody knows it any more. */
function isOfLost(unknown: readonly string[]): boolean {
  return unknown.some((key) => isHandedOut(key) && holdOf(key) === "container");
}
