/**
 * The sessions of an app's functions, which outlive its versions: a table for each function, and one for each set of
 * parameters of a function that has some. Clients choose the sets, so that their tables alone are limited in number.
 * Pure.
 */
import { SessionTable } from "./session-table.ts";

/** A set that is in use keeps its table, also where it is forgotten here. */
const MOST_SETS = 500;

export class SessionTables {
  readonly #mostSets: number;
  readonly #ofFunctions = new Map<string, SessionTable>();
  /** Those that were asked for longest ago first. */
  readonly #ofSets = new Map<string, SessionTable>();

  constructor(mostSets = MOST_SETS) {
    this.#mostSets = mostSets;
  }

  /** @param set of parameters, where the function has some */
  of(functionName: string, set?: string): SessionTable {
    const tables = set === undefined ? this.#ofFunctions : this.#ofSets;
    const name = set === undefined ? functionName : `${functionName}?${set}`;
    const table = tables.get(name) ?? new SessionTable();
    tables.delete(name);
    tables.set(name, table);
    const [oldest] = this.#ofSets.keys();
    if (this.#ofSets.size > this.#mostSets && oldest !== undefined) this.#ofSets.delete(oldest);
    return table;
  }
}
