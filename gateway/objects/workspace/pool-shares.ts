/**
 * The shares that boxes have of the pools which several of them run, in the workspace's database. A box says what it
 * needs and has, and gets its shares (routing/pool-shares.ts) with a lease. When the lease has ended, others may have
 * what it held. Rows are written where something has changed, and a lease when a quarter of it is over.
 */
import { granted, type GrantedUse, isToConfirm } from "../../../routing/pool-grants.ts";
import {
  type BoxUse,
  concernedBoxes,
  fairShares,
  heldBy,
  type PoolBounds,
} from "../../../routing/pool-shares.ts";
import type {
  LeasedShare,
  PoolKey,
  PoolLease,
  PoolUse,
  PoolUses,
} from "../../../routing/wire/pool-leases.ts";
import { isEqual, keyOf, type PoolShareRow, useOf } from "./pool-share-rows.ts";
import type { Scalings } from "./scalings.ts";
import type { Versions } from "./versions.ts";

export interface PoolSharesDeps {
  readonly storage: DurableObjectStorage;
  readonly versions: Pick<Versions, "find">;
  readonly scalings: Pick<Scalings, "of">;
  /** Tells a box that it is to ask for its shares. */
  readonly notify: (box: string) => void;
  /** Whether a box had a link when it was last heard of. */
  readonly isConnected: (box: string) => boolean;
  readonly leaseMs: number;
}

/** Of one pool on one box: an agent has 32, and those that end. */
const MOST_SETS = 64;

/** An answer is never older than this part of a lease. */
const SOONEST_PART = 20;

export class PoolShares {
  readonly #storage: DurableObjectStorage;
  readonly #versions: Pick<Versions, "find">;
  readonly #scalings: Pick<Scalings, "of">;
  readonly #notify: (box: string) => void;
  readonly #isConnected: (box: string) => boolean;
  readonly #leaseMs: number;

  constructor({ storage, versions, scalings, notify, isConnected, leaseMs }: PoolSharesDeps) {
    this.#storage = storage;
    this.#versions = versions;
    this.#scalings = scalings;
    this.#notify = notify;
    this.#isConnected = isConnected;
    this.#leaseMs = leaseMs;
  }

  /** Takes all that a box says of its pools, and gives it its shares. */
  lease(box: string, { pools }: PoolUses, now: number): PoolLease {
    return this.#storage.transactionSync(() => {
      const wasLive = this.#liveBoxes(now).has(box);
      const until = this.#renew(box, now);
      const present = this.#present(box, pools);
      this.#forgetOthers(box, present, now);
      const answers = present.map((use) => this.#share(box, use, wasLive, now));
      const again = Math.min(this.#leaseMs / 2, ...answers.map(({ againMs }) => againMs));
      return {
        pools: answers.map(({ share }) => share),
        leaseMs: until - now,
        askAgainMs: Math.ceil(Math.max(again, this.#leaseMs / SOONEST_PART)),
      };
    });
  }

  /** A box's agent has ended, or the box is revoked: others may have what it held. */
  forget(box: string, now: number): void {
    this.#storage.transactionSync(() => {
      this.#sql.exec("DELETE FROM box_leases WHERE box = ?", box);
      this.#forgetOthers(box, [], now);
    });
  }

  /**
   * A box's links are lost, or back. It has its shares until its lease ends, but without a link others need not send calls
   * there.
   */
  linksChanged(box: string): void {
    const others = this.#sql.exec<{ box: string }>(
      `SELECT DISTINCT box FROM pool_shares WHERE box <> ?1 AND (app, version, pool, parameters) IN (
         SELECT app, version, pool, parameters FROM pool_shares WHERE box = ?1 AND most > 0)`,
      box,
    );
    for (const other of others.toArray()) this.#notify(other.box);
  }

  get #sql(): SqlStorage {
    return this.#storage.sql;
  }

  /** Returns the end of the lease. */
  #renew(box: string, now: number): number {
    const [lease] = this.#sql.exec<{ until: number }>(
      "SELECT until FROM box_leases WHERE box = ?",
      box,
    );
    const fresh = now + this.#leaseMs;
    if (lease !== undefined && lease.until <= fresh && lease.until > fresh - this.#leaseMs / 4) {
      return lease.until;
    }
    this.#sql.exec(
      `INSERT INTO box_leases (box, until) VALUES (?, ?)
       ON CONFLICT (box) DO UPDATE SET until = excluded.until`,
      box,
      fresh,
    );
    return fresh;
  }

  /** The pools that have rows: an agent that says ever new sets of parameters fills no database. */
  #present(box: string, pools: readonly PoolUse[]): PoolUse[] {
    const sets = new Map<string, number>();
    return pools.filter((use) => {
      if (!this.#isPlaced(box, use)) return false;
      if (use.parameters === undefined) return true;
      const pool = keyOf({ ...use, parameters: "" });
      const count = (sets.get(pool) ?? 0) + 1;
      sets.set(pool, count);
      return count <= MOST_SETS;
    });
  }

  #isPlaced(box: string, { app, version, pool }: PoolKey): boolean {
    const placed = this.#versions.find(app, version)?.endpoints ?? [];
    return placed.some((endpoint) => endpoint.function === pool && endpoint.boxes.includes(box));
  }

  /** Forgets what the box does not name any more. */
  #forgetOthers(box: string, present: readonly PoolKey[], now: number): void {
    const keys = new Set(present.map(keyOf));
    const rows = this.#sql
      .exec<PoolShareRow>("SELECT * FROM pool_shares WHERE box = ?", box)
      .toArray();
    for (const row of rows) {
      if (keys.has(keyOf(row))) continue;
      this.#sql.exec(`DELETE FROM pool_shares WHERE ${OF_POOL} AND box = ?`, ...bound(row), box);
      const others = this.#liveRows(row, now).filter((other) => other.box !== box);
      // Some may have more now, and others need not send their calls elsewhere.
      if (heldBy(useOf(row)) > 0) for (const other of others) this.#notify(other.box);
    }
  }

  #share(
    box: string,
    use: PoolUse,
    wasLive: boolean,
    now: number,
  ): { share: LeasedShare; againMs: number } {
    const before = this.#row(use, box);
    const others = this.#liveRows(use, now).filter((row) => row.box !== box);
    const held = wasLive && before !== undefined ? useOf(before) : undefined;
    const theirs = others.map(useOf);
    const turn = this.#turn(now);
    const bounds = this.#bounds(use, others);
    const written = granted({ box, ...use }, held, theirs, bounds, turn);
    this.#write(use, before, written);
    const after = [written, ...theirs];
    for (const other of concernedBoxes(fairShares(after, bounds, turn), after, bounds)) {
      if (other !== box) this.#notify(other);
    }
    const isProvedNow = use.proved && before?.proved !== 1;
    for (const other of others) {
      // It need not show it any more.
      const isRelieved = isProvedNow && other.proved === 0;
      const rest = theirs.filter(({ box: name }) => name !== other.box);
      const was = this.#isElsewhere([...(held === undefined ? [] : [held]), ...rest], bounds);
      // Calls that come to it are better sent on, or not any more.
      const is = this.#isElsewhere([written, ...rest], bounds);
      if (other.most === 0 && (was !== is || isRelieved)) this.#notify(other.box);
    }
    const { most } = written.granted;
    const isShort = most < written.needs;
    const leaseEnds = isShort ? this.#endsOf(others, now) : [];
    const turnEnd = isShort && most === 0 ? [written.sinceMs + turn.turnMs - now] : [];
    return {
      share: {
        ...poolOf(use),
        ...written.granted,
        proved: use.proved || this.#isProved(use),
        elsewhere: most === 0 && this.#isElsewhere(theirs, bounds),
        grant: written.grant,
        confirm: isToConfirm(written),
      },
      againMs: Math.min(Infinity, ...leaseEnds, ...turnEnd),
    };
  }

  /** Whether other boxes have all of the containers, and calls can be sent to one of them. */
  #isElsewhere(others: readonly BoxUse[], { max }: PoolBounds): boolean {
    const held = others.reduce((sum, other) => sum + heldBy(other), 0);
    const serves = ({ box, granted }: BoxUse) => granted.most > 0 && this.#isConnected(box);
    return held >= max && others.some(serves);
  }

  /** A box may not have heard of the last change. A set of parameters that nobody asked it for has no least number. */
  #bounds(use: PoolUse, others: readonly PoolShareRow[]): PoolBounds {
    const { app, version, pool, parameters, max, buffer } = use;
    const scaling = this.#scalings.of({ app, version }, pool);
    const { max_containers = max, buffer_containers = buffer } = scaling;
    const said = Math.max(use.min, ...others.map(({ min }) => min));
    const min = parameters === undefined ? (scaling.min_containers ?? use.min) : said;
    return { min, max: max_containers, buffer: buffer_containers };
  }

  #turn(nowMs: number) {
    return { nowMs, turnMs: this.#leaseMs / 2 };
  }

  #liveBoxes(now: number): Set<string> {
    const rows = this.#sql.exec<{ box: string }>("SELECT box FROM box_leases WHERE until > ?", now);
    return new Set(rows.toArray().map(({ box }) => box));
  }

  /** In how many milliseconds the leases of these boxes end. */
  #endsOf(rows: readonly PoolShareRow[], now: number): number[] {
    return rows.map(
      ({ box }) =>
        this.#sql.exec<{ until: number }>("SELECT until FROM box_leases WHERE box = ?", box).one()
          .until - now,
    );
  }

  #row(key: PoolKey, box: string): PoolShareRow | undefined {
    const [row] = this.#sql.exec<PoolShareRow>(
      `SELECT * FROM pool_shares WHERE ${OF_POOL} AND box = ?`,
      ...bound(key),
      box,
    );
    return row;
  }

  #liveRows(key: PoolKey, now: number): PoolShareRow[] {
    return this.#sql
      .exec<PoolShareRow>(
        `SELECT * FROM pool_shares WHERE ${OF_POOL}
           AND box IN (SELECT box FROM box_leases WHERE until > ?) ORDER BY box`,
        ...bound(key),
        now,
      )
      .toArray();
  }

  #isProved(key: PoolKey): boolean {
    const rows = this.#sql.exec(
      `SELECT 1 FROM pool_shares WHERE ${OF_POOL} AND proved`,
      ...bound(key),
    );
    return rows.toArray().length > 0;
  }

  #write(use: PoolUse, before: PoolShareRow | undefined, after: GrantedUse): void {
    const { min, max, buffer, proved } = use;
    const { box, needs, has, isStarting, sinceMs: since, grant, unconfirmed } = after;
    const { least, buffer: spare, most } = after.granted;
    const [app, version, pool, parameters] = bound(use);
    const starting = Number(isStarting);
    const said = { min, max, buffer, needs, has, starting, proved: Number(proved) };
    const given = { least, spare, most, since, grant_number: grant, unconfirmed };
    const row: PoolShareRow = { app, version, pool, parameters, box, ...said, ...given };
    if (before !== undefined && isEqual(before, row)) return;
    const columns = Object.keys(row);
    this.#sql.exec(
      `INSERT OR REPLACE INTO pool_shares (${columns.join(", ")})
       VALUES (${columns.map(() => "?").join(", ")})`,
      ...Object.values(row),
    );
    if (before === undefined) this.#forgetEnded();
  }

  /** Versions that have ended: their boxes say nothing of them any more. */
  #forgetEnded(): void {
    this.#sql.exec(
      `DELETE FROM pool_shares WHERE NOT EXISTS (
         SELECT 1 FROM versions WHERE versions.app = pool_shares.app
           AND versions.version = pool_shares.version
           AND status IN ('candidate', 'serving', 'replaced'))`,
    );
  }
}

const OF_POOL = "app = ? AND version = ? AND pool = ? AND parameters = ?";

function bound({ app, version, pool, parameters = "" }: PoolKey) {
  return [app, version, pool, parameters] as const;
}

/** As the box named it. */
function poolOf({ app, version, pool, parameters }: PoolKey): PoolKey {
  return { app, version, pool, ...(parameters !== undefined && { parameters }) };
}
