/**
 * `Names`: who holds a host name, and the snapshot that the edge reads for it. 64 fixed shards: a name
 * lives in shard SHA-256(name) mod 64 for ever, so that a claim is atomic and no stranger's guess ever
 * makes an object of its own (docs/storage.md). 64 is part of the stored format.
 */
import { DurableObject } from "cloudflare:workers";
import type { EndpointSettings } from "../routing/wire/messages.ts";
import type { Env } from "./env.ts";

const SHARDS = 64;

/** A box that serves an endpoint. Its links are numbered from 0. */
export interface BoxPlace {
  box: string;
  links: number;
}

/** What the edge knows of an endpoint: which boxes serve it, over how many links, and how. */
export interface Snapshot {
  workspace: string;
  environment: string;
  app: string;
  /** At least one. */
  boxes: BoxPlace[];
  endpoint: string;
  settings: EndpointSettings;
}

export type Claim = { held: true } | { held: false };

export class Names extends DurableObject<Env> {
  readonly #sql: SqlStorage;

  constructor(state: DurableObjectState, env: Env) {
    super(state, env);
    this.#sql = state.storage.sql;
    this.#sql.exec(
      "CREATE TABLE IF NOT EXISTS names (name TEXT PRIMARY KEY, owner TEXT NOT NULL, snapshot TEXT NOT NULL) WITHOUT ROWID",
    );
  }

  /** The snapshot of a name, or undefined when nobody holds it. */
  lookup(name: string): Snapshot | undefined {
    for (const row of this.#sql.exec<{ snapshot: string }>(
      "SELECT snapshot FROM names WHERE name = ?",
      name,
    )) {
      return JSON.parse(row.snapshot) as Snapshot;
    }
    return undefined;
  }

  /** Takes a name that is free or the owner's already. Not said: who else holds it. */
  claim(name: string, owner: string, snapshot: Snapshot): Claim {
    const [row] = this.#sql.exec<{ owner: string }>("SELECT owner FROM names WHERE name = ?", name);
    if (row !== undefined && row.owner !== owner) return { held: true };
    this.#sql.exec(
      "INSERT INTO names (name, owner, snapshot) VALUES (?, ?, ?) ON CONFLICT (name) DO UPDATE SET snapshot = excluded.snapshot",
      name,
      owner,
      JSON.stringify(snapshot),
    );
    return { held: false };
  }

  /** Gives a name back; another owner's stays. */
  release(name: string, owner: string): void {
    this.#sql.exec("DELETE FROM names WHERE name = ? AND owner = ?", name, owner);
  }
}

/** The shard that a name lives in. */
export async function namesShard(env: Env, name: string): Promise<DurableObjectStub<Names>> {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(name));
  const shard = new DataView(digest).getUint32(28) % SHARDS;
  return env.NAMES.get(env.NAMES.idFromName(`shard-${shard}`));
}
