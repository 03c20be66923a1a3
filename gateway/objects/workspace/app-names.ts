/**
 * Keeps which host names an app is to have, and tells `Names`. A caller notes the wanted state of a name in the
 * same transaction as the reason for it. `settle` tells `Names` afterwards, in any order and repeatedly, because
 * each message holds the full state of one name.
 */
import type { AppKind, Claimant } from "../../../routing/claims.ts";
import type { Held, Snapshot } from "../../contracts/names.ts";

/** The registry of names, across its shards. */
export interface NamesClient {
  reserve(name: string, claimant: Claimant, untilMs: number): Promise<Held | undefined>;
  commit(name: string, claimant: Claimant, snapshot: Snapshot): Promise<Held | undefined>;
  cancelReservation(name: string, owner: string): Promise<void>;
  release(name: string, owner: string): Promise<void>;
  stop(name: string, owner: string): Promise<void>;
}

/** `serve` it, give it back, or say of it that the app was stopped. */
type Wanted = "serve" | "release" | "stop";

type Row = { app: string; name: string; wanted: Wanted; snapshot: string };
type UnsettledRow = Row & { kind: AppKind | null; created_at: number | null };

/** Names that are told of at a time. */
const BATCH = 64;

export class AppNames {
  readonly #sql: SqlStorage;
  readonly #workspace: string;
  readonly #names: NamesClient;
  #settling: Promise<boolean> | undefined;

  constructor(sql: SqlStorage, workspace: string, names: NamesClient) {
    this.#sql = sql;
    this.#workspace = workspace;
    this.#names = names;
  }

  /** Wants a name for an app, with this snapshot; no news is no work. */
  serve(app: string, name: string, snapshot: Snapshot): void {
    this.#want(app, name, "serve", JSON.stringify(snapshot));
  }

  /** Notes that an app has a name, or may soon: whatever happens next, it is given back in the end. */
  noteServed(app: string, name: string, snapshot: Snapshot): void {
    this.serve(app, name, snapshot);
    this.#settled({ app, name, wanted: "serve", snapshot: JSON.stringify(snapshot) });
  }

  giveUp(app: string, name: string, how: "release" | "stop"): void {
    this.#want(app, name, how, "");
  }

  giveUpAll(app: string, how: "release" | "stop"): void {
    for (const name of this.namesOf(app)) this.giveUp(app, name, how);
  }

  /** Forgets a name that an app turned out not to have. */
  forget(app: string, name: string): void {
    this.#sql.exec("DELETE FROM app_names WHERE app = ? AND name = ?", app, name);
  }

  /** The names that an app has or wants. */
  namesOf(app: string): string[] {
    return this.#sql
      .exec<{ name: string }>(
        "SELECT name FROM app_names WHERE app = ? AND wanted = 'serve' ORDER BY name",
        app,
      )
      .toArray()
      .map(({ name }) => name);
  }

  /** The names that an app has or wants, with the snapshots that the edge gets, by name. */
  snapshotsOf(app: string): { name: string; snapshot: Snapshot }[] {
    return this.#sql
      .exec<{ name: string; snapshot: string }>(
        "SELECT name, snapshot FROM app_names WHERE app = ? AND wanted = 'serve' ORDER BY name",
        app,
      )
      .toArray()
      .map(({ name, snapshot }) => ({ name, snapshot: JSON.parse(snapshot) as Snapshot }));
  }

  /** Whether `Names` knows all that is wanted for an app, or for all of them. */
  isSettled(app?: string): boolean {
    return (
      this.#sql
        .exec(
          "SELECT 1 FROM app_names WHERE settled = 0 AND (?1 IS NULL OR app = ?1) LIMIT 1",
          app ?? null,
        )
        .toArray().length === 0
    );
  }

  /** Tells `Names` what it does not know; what could not be told stays unsettled. */
  async settle(): Promise<void> {
    // One at a time: of two messages about one name the later must arrive later.
    let heard = true;
    while (heard && !this.isSettled()) {
      this.#settling ??= this.#settleAll().finally(() => {
        this.#settling = undefined;
      });
      heard = await this.#settling;
    }
  }

  /** Returns whether everything was heard. */
  async #settleAll(): Promise<boolean> {
    for (;;) {
      const rows = this.#sql
        .exec<UnsettledRow>(
          `SELECT app_names.app, app_names.name, wanted, snapshot, apps.kind, apps.created_at
           FROM app_names LEFT JOIN apps ON apps.id = app_names.app WHERE settled = 0 LIMIT ?`,
          BATCH,
        )
        .toArray();
      if (rows.length === 0) return true;
      const told = await Promise.all(rows.map(async (row) => await this.#tell(row)));
      if (told.includes(false)) return false;
    }
  }

  /** Returns whether it was heard. */
  async #tell(row: UnsettledRow): Promise<boolean> {
    const { app, name, wanted, snapshot } = row;
    try {
      if (wanted === "serve") {
        const { kind, created_at: startedAt } = row;
        // Of an app that is gone in the meantime the name is given back next.
        const claimant: Claimant = {
          owner: app,
          workspace: this.#workspace,
          kind: kind ?? "ephemeral",
          startedAt: startedAt ?? 0,
        };
        const held = await this.#names.commit(name, claimant, JSON.parse(snapshot) as Snapshot);
        if (held !== undefined) {
          console.error(`${name}: ${held.owner} has it, ${app} lost it`);
          this.#sql.exec(
            "DELETE FROM app_names WHERE app = ? AND name = ? AND wanted = 'serve'",
            app,
            name,
          );
          return true;
        }
      } else if (wanted === "stop") {
        await this.#names.stop(name, app);
      } else {
        await this.#names.release(name, app);
      }
    } catch (error) {
      console.error(`${name}: ${String(error)}`);
      return false;
    }
    this.#settled(row);
    return true;
  }

  #want(app: string, name: string, wanted: Wanted, snapshot: string): void {
    this.#sql.exec(
      `INSERT INTO app_names (app, name, wanted, snapshot, settled) VALUES (?, ?, ?, ?, 0)
       ON CONFLICT (app, name) DO UPDATE
         SET wanted = excluded.wanted, snapshot = excluded.snapshot, settled = 0
         WHERE wanted <> excluded.wanted OR snapshot <> excluded.snapshot`,
      app,
      name,
      wanted,
      snapshot,
    );
  }

  /** Notes that `Names` has heard this; what was wanted since stays to be told. */
  #settled({ app, name, wanted, snapshot }: Row): void {
    if (wanted === "serve") {
      this.#sql.exec(
        "UPDATE app_names SET settled = 1 WHERE app = ? AND name = ? AND wanted = ? AND snapshot = ?",
        app,
        name,
        wanted,
        snapshot,
      );
      return;
    }
    this.#sql.exec(
      "DELETE FROM app_names WHERE app = ? AND name = ? AND wanted = ?",
      app,
      name,
      wanted,
    );
  }
}
