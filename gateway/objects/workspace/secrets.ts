/**
 * A workspace's secrets in its database: named sets of environment variables, per environment. Their
 * names can be read; values leave it sealed or for the boxes that run what names them, and for nobody else.
 */
import { validKeys } from "../../../auth/keys.ts";
import { err, ok, type Result } from "../../../base/result.ts";
import type { Refusal } from "../../../routing/wire/errors.ts";
import {
  deriveSecretsKey,
  openSecret,
  SECRET_IV_BYTES,
  sealSecret,
  type Variables,
} from "../../../auth/secrets.ts";
import type { Env } from "../../contracts/env.ts";
import { gatewayKeys } from "../../contracts/keys.ts";
import { type Page, type PageRequest } from "../../contracts/workspace/pages.ts";
import {
  type NewSecret,
  type ReadSecrets,
  type SecretInfo,
} from "../../contracts/workspace/secrets.ts";
import { noEnvironment } from "../../contracts/workspace/environments.ts";
import { type Environments } from "./environments.ts";
import { pageOf } from "../pages.ts";

/** Of one environment. */
const MAX_SECRETS = 1_000;

type Row = {
  number: number;
  name: string;
  variables: string;
  key: string;
  iv: ArrayBuffer;
  sealed: ArrayBuffer;
  created_at: number;
  updated_at: number;
  updated_by: string;
};

export class Secrets {
  readonly #env: Env;
  readonly #workspace: string;
  readonly #sql: SqlStorage;
  readonly #environments: Environments;

  constructor(env: Env, workspace: string, sql: SqlStorage, environments: Environments) {
    this.#env = env;
    this.#workspace = workspace;
    this.#sql = sql;
    this.#environments = environments;
  }

  /** Makes a secret, or gives one that is there other variables. */
  async put(chosen: NewSecret, by: string): Promise<Result<SecretInfo, Refusal>> {
    const { environment, name, variables, replace } = chosen;
    const number = this.#environments.numberOf(environment);
    if (number === undefined) return noEnvironment(environment);
    const keys = await gatewayKeys(this.#env);
    const key = await deriveSecretsKey(keys, this.#workspace);
    const iv = crypto.getRandomValues(new Uint8Array(SECRET_IV_BYTES));
    const place = { workspace: this.#workspace, environment: number, name };
    const sealed = await sealSecret(key, place, variables, iv);
    // Others may have acted while it was sealed.
    if (this.#environments.numberOf(environment) !== number) return noEnvironment(environment);
    const exists = this.#row(number, name) !== undefined;
    if (exists && !replace) {
      const detail = `there is a secret ${name} in ${environment} already; --force replaces it`;
      return err({ code: "conflict", detail });
    }
    if (!exists && this.#count(number) >= MAX_SECRETS) {
      const detail = `environment ${environment} has its ${MAX_SECRETS} secrets; delete one first`;
      return err({ code: "conflict", detail });
    }
    this.#sql.exec(
      `INSERT INTO secrets
         (environment, name, variables, key, iv, sealed, created_at, updated_at, updated_by)
       VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7, ?8)
       ON CONFLICT (environment, name) DO UPDATE
         SET variables = excluded.variables, key = excluded.key, iv = excluded.iv,
           sealed = excluded.sealed, updated_at = excluded.updated_at, updated_by = excluded.updated_by`,
      number,
      name,
      JSON.stringify(Object.keys(variables)),
      keys.id,
      iv.buffer,
      sealed,
      Date.now(),
      by,
    );
    return ok(infoOf(this.#row(number, name) as Row, [keys.id]));
  }

  /** Newest first. */
  async list(environment: string, page: PageRequest): Promise<Result<Page<SecretInfo>, Refusal>> {
    const ids = await this.#keyIds();
    const number = this.#environments.numberOf(environment);
    if (number === undefined) return noEnvironment(environment);
    const rows = this.#sql
      .exec<Row>(
        "SELECT * FROM secrets WHERE environment = ? AND number < ? ORDER BY number DESC LIMIT ?",
        number,
        page.cursor ?? Number.MAX_SAFE_INTEGER,
        page.limit + 1,
      )
      .toArray();
    return ok(pageOf(rows, page.limit, (row) => infoOf(row, ids)));
  }

  /** Forgets a secret; one that is not there is forgotten already. */
  delete(environment: string, name: string): Result<undefined, Refusal> {
    const number = this.#environments.numberOf(environment);
    if (number === undefined) return noEnvironment(environment);
    this.#sql.exec("DELETE FROM secrets WHERE environment = ? AND name = ?", number, name);
    return ok(undefined);
  }

  /** Forgets the secrets of an environment, by its number. */
  deleteAll(environment: number): void {
    this.#sql.exec("DELETE FROM secrets WHERE environment = ?", environment);
  }

  /** Why a version that names these secrets could not be started; undefined where it could. */
  async problem(environment: string, names: readonly string[]): Promise<string | undefined> {
    const ids = await this.#keyIds();
    const number = this.#environments.numberOf(environment);
    for (const name of names) {
      const row = number === undefined ? undefined : this.#row(number, name);
      if (row === undefined) return missing(environment, name);
      if (!ids.includes(row.key)) return unreadable(environment, name);
    }
    return undefined;
  }

  /** The values of secrets, for boxes alone. */
  async read(environment: string, names: readonly string[]): Promise<ReadSecrets> {
    const keys = await gatewayKeys(this.#env);
    const present = await deriveSecretsKey(keys, this.#workspace);
    const before = keys.before && (await deriveSecretsKey(keys.before, this.#workspace));
    const number = this.#environments.numberOf(environment);
    const values: Record<string, Variables> = {};
    const problems: string[] = [];
    for (const name of new Set(names)) {
      const row = number === undefined ? undefined : this.#row(number, name);
      if (number === undefined || row === undefined) {
        problems.push(missing(environment, name));
        continue;
      }
      const place = { workspace: this.#workspace, environment: number, name };
      const key = row.key === keys.before?.id ? (before ?? present) : present;
      const variables = await openSecret(key, place, row.sealed, new Uint8Array(row.iv));
      if (variables === undefined) problems.push(unreadable(environment, name));
      else values[name] = variables;
    }
    return { values, problems };
  }

  /** Of the keys under which secrets can be read. */
  async #keyIds(): Promise<string[]> {
    return validKeys(await gatewayKeys(this.#env)).map(({ id }) => id);
  }

  #row(environment: number, name: string): Row | undefined {
    return this.#sql
      .exec<Row>("SELECT * FROM secrets WHERE environment = ? AND name = ?", environment, name)
      .toArray()[0];
  }

  #count(environment: number): number {
    return this.#sql
      .exec<{ count: number }>(
        "SELECT count(*) AS count FROM secrets WHERE environment = ?",
        environment,
      )
      .one().count;
  }
}

function missing(environment: string, name: string): string {
  return `environment ${environment} has no secret ${name}; make it with postern secret create ${name} KEY=VALUE -e ${environment}`;
}

function unreadable(environment: string, name: string): string {
  return `the secret ${name} of environment ${environment} was made under another gateway key and can't be read; set it again with postern secret create ${name} KEY=VALUE --force -e ${environment}`;
}

/** @param keys the ids of the gateway's keys that are valid */
function infoOf(row: Row, keys: readonly string[]): SecretInfo {
  return {
    name: row.name,
    variables: JSON.parse(row.variables) as string[],
    readable: keys.includes(row.key),
    createdAt: row.created_at,
    updatedAt: row.updated_at,
    updatedBy: row.updated_by,
  };
}
