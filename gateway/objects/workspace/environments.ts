/**
 * A workspace's environments in its database, and which names are free among them. People and programs use an
 * environment's name. Data that must outlast a change of name refers to the number. `main` exists from the start
 * and can't be renamed or deleted.
 */
import { err, ok, type Err, type Result } from "../../../base/result.ts";
import type { Refusal } from "../../../routing/wire/errors.ts";
import { MAX_ENVIRONMENTS } from "../../../api/limits.ts";
import {
  noEnvironment,
  type EnvironmentChange,
  type EnvironmentInfo,
  type NewEnvironment,
} from "../../contracts/workspace/environments.ts";
import { type Page, type PageRequest } from "../../contracts/workspace/pages.ts";
import { normalise, webSuffixOf } from "../../../routing/names.ts";
import { pageOf } from "../pages.ts";

const MAIN = "main";

type Row = {
  number: number;
  name: string;
  web_suffix: string;
  created_at: number;
  created_by: string;
};

export class Environments {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
  }

  get count(): number {
    return this.#sql.exec<{ count: number }>("SELECT count(*) AS count FROM environments").one()
      .count;
  }

  /** By age. */
  names(): string[] {
    return this.#sql
      .exec<{ name: string }>("SELECT name FROM environments ORDER BY number")
      .toArray()
      .map(({ name }) => name);
  }

  exists(name: string): boolean {
    return this.#row(name) !== undefined;
  }

  /** Its web suffix; undefined where there is no such environment. */
  suffixOf(name: string): string | undefined {
    return this.#row(name)?.web_suffix;
  }

  /** Its number, which stays when the name changes and is never used again; undefined: no such environment. */
  numberOf(name: string): number | undefined {
    return this.#row(name)?.number;
  }

  find(name: string): EnvironmentInfo | undefined {
    const row = this.#row(name);
    return row === undefined ? undefined : infoOf(row);
  }

  /** Newest first. */
  list({ limit, cursor }: PageRequest): Page<EnvironmentInfo> {
    const rows = this.#sql
      .exec<Row>(
        "SELECT * FROM environments WHERE number < ? ORDER BY number DESC LIMIT ?",
        cursor ?? Number.MAX_SAFE_INTEGER,
        limit + 1,
      )
      .toArray();
    return pageOf(rows, limit, infoOf);
  }

  create(
    { name, webSuffix }: NewEnvironment,
    by: string,
    now: number,
  ): Result<EnvironmentInfo, Refusal> {
    if (this.exists(name)) return nameHeld(name);
    const suffix = normalise(webSuffix ?? webSuffixOf(name));
    const held = this.#suffixHeld(suffix, name);
    if (held !== undefined) return held;
    if (this.count >= MAX_ENVIRONMENTS) {
      const detail = `the workspace has its ${MAX_ENVIRONMENTS} environments; delete one first`;
      return err({ code: "conflict", detail });
    }
    this.#sql.exec(
      "INSERT INTO environments (name, web_suffix, created_at, created_by) VALUES (?, ?, ?, ?)",
      name,
      suffix,
      now,
      by,
    );
    return ok(this.find(name) as EnvironmentInfo);
  }

  /** Changes what is given. A new name leaves the web suffix as it is, so that no URL changes with it. */
  update(name: string, change: EnvironmentChange): Result<EnvironmentInfo, Refusal> {
    const { name: newName = name, webSuffix } = change;
    const row = this.#row(name);
    if (row === undefined) return noEnvironment(name);
    if (newName !== name) {
      if (name === MAIN) return err({ code: "conflict", detail: "main keeps its name" });
      if (this.exists(newName)) return nameHeld(newName);
    }
    const suffix = webSuffix === undefined ? row.web_suffix : normalise(webSuffix);
    const held = this.#suffixHeld(suffix, name);
    if (held !== undefined) return held;
    this.#sql.exec(
      "UPDATE environments SET name = ?, web_suffix = ? WHERE number = ?",
      newName,
      suffix,
      row.number,
    );
    return ok(this.find(newName) as EnvironmentInfo);
  }

  /** Forgets an environment; one that is not there is forgotten already. */
  delete(name: string): Result<undefined, Refusal> {
    if (name === MAIN) {
      return err({ code: "conflict", detail: "main is there for good; stop its apps instead" });
    }
    this.#sql.exec("DELETE FROM environments WHERE name = ?", name);
    return ok(undefined);
  }

  #row(name: string): Row | undefined {
    return this.#sql.exec<Row>("SELECT * FROM environments WHERE name = ?", name).toArray()[0];
  }

  /** Two environments with one suffix would have the same URLs. */
  #suffixHeld(suffix: string, own: string): Err<Refusal> | undefined {
    const [holder] = this.#sql
      .exec<{ name: string }>(
        "SELECT name FROM environments WHERE web_suffix = ? AND name <> ?",
        suffix,
        own,
      )
      .toArray();
    if (holder === undefined) return undefined;
    const detail =
      suffix === ""
        ? `environment ${holder.name} has no web suffix, and only one may have none`
        : `the web suffix ${suffix} is environment ${holder.name}'s; choose another one`;
    return err({ code: "conflict", detail });
  }
}

function nameHeld(name: string): Err<Refusal> {
  return err({ code: "conflict", detail: `there is an environment ${name} already` });
}

function infoOf(row: Row): EnvironmentInfo {
  return {
    name: row.name,
    webSuffix: row.web_suffix,
    createdAt: row.created_at,
    createdBy: row.created_by,
  };
}
