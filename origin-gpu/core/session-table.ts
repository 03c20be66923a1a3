/**
 * The sessions of one endpoint: which container each key belongs to, and how many sessions each container has. Bounded:
 * the keys that were used longest ago are forgotten. Survives the versions of its app. Chooses no container. Pure.
 */
import { MINUTE_MS, SECOND_MS } from "../../base/units.ts";
import { holdOf } from "../../routing/affinity/session-key.ts";
import { type LeftSessions, leftSessions } from "./left-sessions.ts";

/** Keys of an endpoint, a hundred bytes or two each. */
const MAX_KEYS = 100_000;

/** Of one session: a chatty one, whose server hands out a key with each response, leaves the others theirs. */
const MAX_KEYS_OF_A_SESSION = 1_000;

/** A session that was not used for so long does not count any more; its keys are still known. */
const LIVE_MS = 10 * MINUTE_MS;

/** A client that carried nothing has come back with the key that it was given by then, or never comes back. */
const NEWCOMER_HALF_LIFE_MS = 30 * SECOND_MS;

/** A container, as sessions see it. */
export interface SessionPlace {
  /** Tells it from others of its pool. */
  readonly number: number;
  /** Calls of its sessions come here, now or when it is awake. */
  readonly keepsSessions: boolean;
  readonly sessions: SessionCounts;
}

/** How many sessions a container has. */
export class SessionCounts {
  #lasting = 0;
  #advised = 0;
  #newcomers = 0;
  #newcomersAtMs = 0;

  /** Sessions that have a key, and were used of late. */
  get lasting(): number {
    return this.#lasting;
  }

  /** The same of sessions that any other container can serve as well, if not as fast. */
  get advised(): number {
    return this.#advised;
  }

  /** The lasting ones and those that may become some: each client that carried nothing counts less with time. */
  all(nowMs: number): number {
    return this.#lasting + this.#newcomersAt(nowMs);
  }

  /** Whether somebody may come back to the container. */
  areExpected(nowMs: number): boolean {
    return this.#lasting > 0 || this.#newcomersAt(nowMs) >= 0.5;
  }

  add(kind: "lasting" | "advised", by: 1 | -1): void {
    if (kind === "lasting") this.#lasting += by;
    else this.#advised += by;
  }

  addNewcomer(by: 1 | -1, nowMs: number): void {
    this.#newcomers = Math.max(0, this.#newcomersAt(nowMs) + by);
    this.#newcomersAtMs = nowMs;
  }

  #newcomersAt(nowMs: number): number {
    if (this.#newcomers === 0) return 0;
    return this.#newcomers * 2 ** ((this.#newcomersAtMs - nowMs) / NEWCOMER_HALF_LIFE_MS);
  }
}

/** The requests of one client that belong together. Its table alone changes it. */
export class Session {
  /** Undefined until a container is chosen. One that does not keep sessions any more has lost this one. */
  place: SessionPlace | undefined;
  /** It had a container, which is gone. */
  hasMoved = false;
  readonly keys = new Set<string>();
  /** Calls that a container works on. */
  running = 0;
  lastUsedMs = 0;
  /** A key of it holds its container. */
  isFirm = false;
  /** The container that counts it, and as what. */
  counted: { readonly place: SessionPlace; readonly kind: "lasting" | "advised" } | undefined;

  /** Nothing is known by which its client could come back. */
  get isAnonymous(): boolean {
    return this.keys.size === 0;
  }

  /** Its container is the best one, and any other will do. */
  get isAdvice(): boolean {
    return !this.isFirm && !this.isAnonymous;
  }

  /** Its container is gone. */
  get isLost(): boolean {
    return this.place?.keepsSessions === false;
  }
}

export class SessionTable {
  /** In the order of their last use. */
  readonly #byKey = new Map<string, Session>();
  /** Those that count, in the order of their last use. */
  readonly #live = new Set<Session>();
  /** Keys of what is on the box, whatever the container; in the order of their last use. */
  readonly #ofTheBox = new Set<string>();

  /** Keys that are known. */
  get size(): number {
    return this.#byKey.size + this.#ofTheBox.size;
  }

  /** Whether one of these keys belongs to this box, a lost session's included. */
  knows(keys: readonly string[]): boolean {
    return keys.some((key) => this.#byKey.has(key) || this.#ofTheBox.has(key));
  }

  /** The session of the first key that is known. */
  find(keys: readonly string[]): Session | undefined {
    for (const key of keys) {
      const session = this.#byKey.get(key);
      if (session !== undefined) return session;
    }
    return undefined;
  }

  /**
   * The session of a request, which is a new one where no key is known. Its other keys lead to it from now on; one that
   * leads to another session goes on to do so.
   * @param keys that hold a container, or advise one
   * @param named the place that the client says that it has, unless a key is known
   */
  enter(keys: readonly string[], named: SessionPlace | undefined, nowMs: number): Session {
    const session = this.find(keys) ?? new Session();
    if (session.place === undefined && named?.keepsSessions === true) {
      // The client was told its place when it carried nothing.
      named.sessions.addNewcomer(-1, nowMs);
      session.place = named;
    }
    for (const key of keys) {
      // Here, or where it is: it was used now.
      const known = this.#byKey.get(key) ?? session;
      this.#byKey.delete(key);
      this.#byKey.set(key, known);
      if (known === session) this.#own(session, key);
    }
    this.#use(session, nowMs);
    this.#forgetOldest();
    return session;
  }

  /** The container is the session's from now on. */
  settle(session: Session, place: SessionPlace, nowMs: number): void {
    session.place = place;
    session.hasMoved = false;
    if (session.isAnonymous) place.sessions.addNewcomer(1, nowMs);
    this.#use(session, nowMs);
  }

  /** The container is gone: the session's next one is still to be chosen. */
  unsettle(session: Session): void {
    if (session.place === undefined) return;
    session.place = undefined;
    session.hasMoved = true;
  }

  /** The app has handed out these keys. One that leads to a container that is not gone goes on to do so. */
  learn(session: Session | undefined, keys: readonly string[], nowMs: number): void {
    for (const key of keys) if (holdOf(key) === "box") this.#noteOfTheBox(key);
    const own = keys.filter((key) => holdOf(key) !== "box");
    if (session === undefined || own.length === 0) return;
    if (session.isAnonymous) session.place?.sessions.addNewcomer(-1, nowMs);
    for (const key of own) {
      const before = this.#byKey.get(key);
      if (before !== undefined && before !== session) {
        if (before.place?.keepsSessions === true) continue;
        this.#disown(before, key);
      }
      this.#byKey.delete(key);
      this.#byKey.set(key, session);
      this.#own(session, key);
    }
    this.#use(session, nowMs);
    this.#forgetOldest();
  }

  /** A container works on a call of the session. */
  begin(session: Session, nowMs: number): void {
    session.running += 1;
    this.#use(session, nowMs);
  }

  /** A container does so no more. */
  end(session: Session, nowMs: number): void {
    session.running -= 1;
    this.#use(session, nowMs);
  }

  /** Time has passed: sessions that nobody uses do not count any more. */
  tick(nowMs: number): void {
    for (const session of this.#live) {
      if (nowMs < session.lastUsedMs + LIVE_MS) return;
      if (session.running > 0) this.#use(session, nowMs);
      else {
        this.#live.delete(session);
        this.#count(session, undefined);
      }
    }
  }

  /** The sessions of a container that is left to the next agent, and what is known of the box. */
  leave(place: SessionPlace, nowMs: number): LeftSessions {
    const own = [...this.#byKey.values()].filter((session) => session.place === place);
    return leftSessions(new Set(own), this.#ofTheBox, nowMs);
  }

  /** Has them at the same container, as if they had been its own. A key that is known by now stays where it leads. */
  restore({ sessions, ofTheBox }: LeftSessions, place: SessionPlace, nowMs: number): void {
    for (const { idleMs, keys } of sessions) {
      const session = new Session();
      session.place = place;
      for (const key of keys) {
        if (this.#byKey.has(key)) continue;
        this.#byKey.set(key, session);
        this.#own(session, key);
      }
      this.#use(session, nowMs - idleMs);
    }
    for (const key of ofTheBox) this.#noteOfTheBox(key);
    this.#sortByUse();
    this.#forgetOldest();
    this.tick(nowMs);
  }

  #sortByUse(): void {
    const keys = [...this.#byKey].sort(([, a], [, b]) => a.lastUsedMs - b.lastUsedMs);
    const live = [...this.#live].sort((a, b) => a.lastUsedMs - b.lastUsedMs);
    this.#byKey.clear();
    this.#live.clear();
    for (const [key, session] of keys) this.#byKey.set(key, session);
    for (const session of live) this.#live.add(session);
  }

  #use(session: Session, nowMs: number): void {
    session.lastUsedMs = nowMs;
    this.#live.delete(session);
    if (!session.isAnonymous) this.#live.add(session);
    this.#count(session, session.isAnonymous ? undefined : session.place);
  }

  /** It has lost a key, the last one maybe: nobody can come back to it then. */
  #disown(session: Session, key: string): void {
    session.keys.delete(key);
    if (!session.isAnonymous) return;
    this.#live.delete(session);
    this.#count(session, undefined);
  }

  #count(session: Session, place: SessionPlace | undefined): void {
    const { counted } = session;
    const kind = session.isAdvice ? "advised" : "lasting";
    if (counted?.place === place && (counted === undefined || counted.kind === kind)) return;
    counted?.place.sessions.add(counted.kind, -1);
    place?.sessions.add(kind, 1);
    session.counted = place && { place, kind };
  }

  #own(session: Session, key: string): void {
    session.keys.delete(key);
    session.keys.add(key);
    session.isFirm ||= holdOf(key) === "container";
    if (session.keys.size <= MAX_KEYS_OF_A_SESSION) return;
    const [oldest = ""] = session.keys;
    session.keys.delete(oldest);
    this.#byKey.delete(oldest);
  }

  #noteOfTheBox(key: string): void {
    this.#ofTheBox.delete(key);
    this.#ofTheBox.add(key);
    const [oldest = ""] = this.#ofTheBox;
    if (this.#ofTheBox.size > MAX_KEYS) this.#ofTheBox.delete(oldest);
  }

  #forgetOldest(): void {
    while (this.#byKey.size > MAX_KEYS) {
      const [oldest] = this.#byKey;
      if (oldest === undefined) return;
      const [key, session] = oldest;
      this.#byKey.delete(key);
      this.#disown(session, key);
    }
  }
}
