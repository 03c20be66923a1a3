/**
 * The calls that wait at a pool: those that any container may take, and those of sessions, which wait for theirs. Each
 * of these lanes is in turns (`call-queue.ts`). Pure.
 */
import type { Session } from "./session-table.ts";
import { CallQueue } from "./call-queue.ts";
import type { PoolCall } from "./pool-call.ts";

export class WaitingCalls<Call> {
  readonly #free = new CallQueue<Call>();
  /** The free calls of each session; none is empty. */
  readonly #ofSession = new Map<Session, Set<Call>>();
  /** By the container's number; none is empty. */
  readonly #lanes = new Map<number, CallQueue<Call>>();

  get length(): number {
    return this.#sum((queue) => queue.length);
  }

  /** Calls without a client that waits for them. */
  get asynchronous(): number {
    return this.#sum((queue) => queue.asynchronous);
  }

  /** The calls that any container may take. */
  get free(): Pick<CallQueue<Call>, "length" | "active" | "first" | "oldest"> {
    return this.#free;
  }

  /** The containers that calls wait for in particular. */
  get awaited(): MapIterator<number> {
    return this.#lanes.keys();
  }

  isAwaited(container: number): boolean {
    return this.#lanes.has(container);
  }

  /** Whether calls that count as use are among them. */
  isUseAwaited(container: number): boolean {
    return (this.#lanes.get(container)?.active ?? 0) > 0;
  }

  /** The call whose turn is next of those that wait for this container alone. */
  firstFor(container: number): PoolCall<Call> | undefined {
    return this.#lanes.get(container)?.first;
  }

  /** Of the calls that wait for this container alone, the one that has waited longest. */
  oldestFor(container: number): PoolCall<Call> | undefined {
    return this.#lanes.get(container)?.oldest;
  }

  /** The call that gives way to one that has come for any container; undefined: none does. */
  displacedBy(call: Call): PoolCall<Call> | undefined {
    const entry = this.#free.find(call);
    return entry && this.#free.displacedBy(entry);
  }

  /** @param container the one that the call waits for; undefined for any */
  add(entry: PoolCall<Call>, container: number | undefined): void {
    if (container === undefined) {
      this.#free.add(entry);
      this.#noteSession(entry);
      return;
    }
    const lane = this.#lanes.get(container) ?? new CallQueue<Call>(container);
    this.#lanes.set(container, lane);
    lane.add(entry);
  }

  /** @returns undefined where the call does not wait here */
  remove(call: Call): PoolCall<Call> | undefined {
    const entry = this.#removeFree(call);
    if (entry !== undefined) return entry;
    for (const [container, lane] of this.#lanes) {
      const found = lane.remove(call);
      if (found === undefined) continue;
      if (lane.length === 0) this.#lanes.delete(container);
      return found;
    }
    return undefined;
  }

  /** Takes out all that any container may take, in their turns. */
  takeFree(): PoolCall<Call>[] {
    const entries = [...this.#free];
    for (const { call } of entries) this.#removeFree(call);
    return entries;
  }

  /** Of these, those of one session. */
  takeFreeOf(session: Session): PoolCall<Call>[] {
    const calls = [...(this.#ofSession.get(session) ?? [])];
    return calls.flatMap((call) => this.#removeFree(call) ?? []);
  }

  /** Takes out all that wait for a container, in their turns. */
  takeLane(container: number): PoolCall<Call>[] {
    const entries = [...(this.#lanes.get(container) ?? [])];
    this.#lanes.delete(container);
    return entries;
  }

  has(call: Call): boolean {
    return this.find(call) !== undefined;
  }

  /** @returns undefined where the call does not wait here */
  find(call: Call): PoolCall<Call> | undefined {
    const entry = this.#free.find(call);
    if (entry !== undefined) return entry;
    for (const lane of this.#lanes.values()) {
      const found = lane.find(call);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  /** How many wait before this one for the same; undefined where it does not wait here. */
  standingOf(call: Call): { position: number; container: number | undefined } | undefined {
    const position = this.#free.positionOf(call);
    if (position !== undefined) return { position, container: undefined };
    for (const [container, lane] of this.#lanes) {
      const inLane = lane.positionOf(call);
      if (inLane !== undefined) return { position: inLane, container };
    }
    return undefined;
  }

  /** Lane by lane, each in its turns. A call may be removed while it is visited. */
  *[Symbol.iterator](): Generator<PoolCall<Call>> {
    yield* this.#free;
    for (const lane of this.#lanes.values()) yield* lane;
  }

  #removeFree(call: Call): PoolCall<Call> | undefined {
    const entry = this.#free.remove(call);
    const session = entry?.session?.session;
    if (session === undefined) return entry;
    const calls = this.#ofSession.get(session);
    calls?.delete(call);
    if (calls?.size === 0) this.#ofSession.delete(session);
    return entry;
  }

  #noteSession({ call, session: use }: PoolCall<Call>): void {
    if (use === undefined) return;
    const calls = this.#ofSession.get(use.session);
    if (calls === undefined) this.#ofSession.set(use.session, new Set([call]));
    else calls.add(call);
  }

  #sum(count: (queue: CallQueue<Call>) => number): number {
    let sum = count(this.#free);
    if (this.#lanes.size === 0) return sum;
    for (const lane of this.#lanes.values()) sum += count(lane);
    return sum;
  }
}
