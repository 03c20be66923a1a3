/**
 * The shares that boxes have of the pools which several of them run, in the workspace's database. A box says what it
 * needs and has, and gets its shares (routing/pool-shares.ts) with a lease. When the lease has ended, others may have
 * what it held. Rows are written where something has changed, and a lease when a quarter of it is over.
 */
import {
  type BoxUse,
  concernedBoxes,
  fairShares,
  grantable,
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
import {
  currentUse,
  isEqual,
  keyOf,
  type PoolShareRow,
  stateOf,
  useOf,
} from "./pool-share-rows.ts";
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
      const present = pools.filter((use) => this.#isPlaced(box, use));
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

  /** A box's links are lost. It has its shares until its lease ends, but others need not send calls there. */
  linksLost(box: string): void {
    const others = this.#sql.exec<{ box: string }>(
      `SELECT DISTINCT box FROM pool_shares WHERE box <> ?1 AND (app, version, pool) IN (
         SELECT app, version, pool FROM pool_shares WHERE box = ?1 AND most > 0)`,
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
      this.#sql.exec(
        "DELETE FROM pool_shares WHERE app = ? AND version = ? AND pool = ? AND box = ?",
        row.app,
        row.version,
        row.pool,
        box,
      );
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
    const mine = currentUse(box, use, wasLive ? before : undefined, now);
    const theirs = others.map(useOf);
    const uses = [mine, ...theirs];
    const turn = this.#turn(now);
    const bounds = this.#bounds(use);
    const granted = grantable(0, fairShares(uses, bounds, turn), uses, bounds);
    const sinceMs = stateOf(mine) === stateOf({ ...mine, granted }) ? mine.sinceMs : now;
    const written: BoxUse = { ...mine, granted, sinceMs };
    this.#write(use, before, written);
    const after = [written, ...theirs];
    for (const other of concernedBoxes(fairShares(after, bounds, turn), after, bounds)) {
      if (other !== box) this.#notify(other);
    }
    const held = wasLive && before !== undefined ? [useOf(before)] : [];
    for (const other of others) {
      const rest = theirs.filter(({ box: name }) => name !== other.box);
      const was = this.#isElsewhere([...held, ...rest], bounds);
      // Calls that come to it are better sent on, or not any more.
      const is = this.#isElsewhere([written, ...rest], bounds);
      if (other.most === 0 && was !== is) this.#notify(other.box);
    }
    const { app, version, pool, proved } = use;
    const isShort = granted.most < mine.needs;
    const leaseEnds = isShort ? this.#endsOf(others, now) : [];
    const turnEnd = isShort && granted.most === 0 ? [sinceMs + turn.turnMs - now] : [];
    return {
      share: {
        app,
        version,
        pool,
        ...granted,
        proved: proved || this.#isProved(use),
        elsewhere: granted.most === 0 && this.#isElsewhere(theirs, bounds),
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

  /** A box may not have heard of the last change. */
  #bounds({ app, version, pool, min, max, buffer }: PoolUse): PoolBounds {
    const scaling = this.#scalings.of({ app, version }, pool);
    const { min_containers = min, max_containers = max, buffer_containers = buffer } = scaling;
    return { min: min_containers, max: max_containers, buffer: buffer_containers };
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

  #row({ app, version, pool }: PoolKey, box: string): PoolShareRow | undefined {
    const [row] = this.#sql.exec<PoolShareRow>(
      "SELECT * FROM pool_shares WHERE app = ? AND version = ? AND pool = ? AND box = ?",
      app,
      version,
      pool,
      box,
    );
    return row;
  }

  #liveRows({ app, version, pool }: PoolKey, now: number): PoolShareRow[] {
    return this.#sql
      .exec<PoolShareRow>(
        `SELECT * FROM pool_shares WHERE app = ? AND version = ? AND pool = ?
           AND box IN (SELECT box FROM box_leases WHERE until > ?) ORDER BY box`,
        app,
        version,
        pool,
        now,
      )
      .toArray();
  }

  #isProved({ app, version, pool }: PoolKey): boolean {
    const rows = this.#sql.exec(
      "SELECT 1 FROM pool_shares WHERE app = ? AND version = ? AND pool = ? AND proved",
      app,
      version,
      pool,
    );
    return rows.toArray().length > 0;
  }

  #write(use: PoolUse, before: PoolShareRow | undefined, after: BoxUse): void {
    const { app, version, pool, min, max, buffer, proved } = use;
    const { box, needs, has, granted, sinceMs: since } = after;
    const { least, buffer: spare, most } = granted;
    const said = { min, max, buffer, needs, has, proved: proved ? 1 : 0 };
    const row: PoolShareRow = { app, version, pool, box, ...said, least, spare, most, since };
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
