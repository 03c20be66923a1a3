/** The sessions of one pool, as requests and responses name them. core/pool-sessions.ts decides. */
import type { RequestSession } from "../../routing/wire/sessions.ts";
import type { LeftSessions } from "../core/left-sessions.ts";
import type { Pool } from "../core/pool.ts";
import type { SessionTraits } from "../core/pool-sessions.ts";
import type { SessionPlace, SessionTable } from "../core/session-table.ts";
import type { EndpointContainers } from "./endpoint-containers.ts";

type SessionPool<Call> = Pick<Pool<Call>, "hasSession" | "placeOf" | "learned">;

export class SessionPlaces<Call> {
  readonly #pool: SessionPool<Call>;
  readonly #containers: Pick<EndpointContainers, "numberOf">;
  readonly #table: SessionTable;
  readonly #now: () => number;

  constructor(
    pool: SessionPool<Call>,
    containers: Pick<EndpointContainers, "numberOf">,
    table: SessionTable,
    now: () => number,
  ) {
    this.#pool = pool;
    this.#containers = containers;
    this.#table = table;
    this.#now = now;
  }

  /** Whether a container of the pool has the request's session. */
  has({ keys, container }: RequestSession): boolean {
    const session = this.#table.find(keys);
    if (session !== undefined) return this.#pool.hasSession(session);
    return container !== undefined && this.#placeOf(container) !== undefined;
  }

  traitsOf({ keys, container }: RequestSession): SessionTraits {
    if (container === undefined) return { keys };
    return { keys, named: this.#placeOf(container) ?? "gone" };
  }

  /** The app has handed out these keys to the client of a call that runs. */
  learned(call: Call, keys: readonly string[]): void {
    this.#pool.learned(call, keys, this.#now());
  }

  /** Those of a container that is left to the next agent. */
  leave(container: number): LeftSessions | undefined {
    const place = this.#pool.placeOf(container);
    return place && this.#table.leave(place, this.#now());
  }

  #placeOf(containerId: string): SessionPlace | undefined {
    const number = this.#containers.numberOf(containerId);
    return number === undefined ? undefined : this.#pool.placeOf(number);
  }
}
