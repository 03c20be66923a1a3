/**
 * A postern.toml, as text or as the document that a version keeps of it, to an `AppConfig`, or to all
 * that is wrong with it at once. Pure: looks at no file and no environment. Refuses what it does not know
 * and what has no effect yet; guesses nothing.
 */
import { dirname, resolve } from "node:path";
import { TomlError, parse as parseToml } from "smol-toml";

import type { AppConfig } from "./app-config.ts";
import { COMBINATIONS, kindsOf } from "./combinations.ts";
import { type KeyPath, type LineOf, locateKeys } from "./key-lines.ts";
import {
  APP_KEYS,
  type AppTable,
  ENDPOINT_KEYS,
  type EndpointTable,
  KIND_KEYS,
  type KeyTable,
} from "./keys.ts";
import { optional } from "./optional.ts";
import { type ConfigProblem, nearest, showPath, showValue } from "./problems.ts";
import { resolveEndpoints } from "./resolve.ts";

type Table = Readonly<Record<string, unknown>>;

export type ConfigResult =
  | {
      readonly ok: true;
      readonly config: AppConfig;
      /** What the file says, by its own keys. */
      readonly document: Table;
    }
  | { readonly ok: false; readonly problems: readonly ConfigProblem[] };

/** @param file its path, absolute or relative to the working directory; messages show it as given */
export function parseConfig(text: string, file: string): ConfigResult {
  let document: Table;
  try {
    document = parseToml(text, { unsafeKeyBehaviour: "throw" });
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    const [reason = ""] = error.message.replace("Invalid TOML document: ", "").split("\n");
    return {
      ok: false,
      problems: [{ file, line: error.line, message: `not valid TOML: ${reason}` }],
    };
  }
  return new ConfigReader(document, { file, lineOf: locateKeys(text) }).read(
    dirname(resolve(file)),
  );
}

/**
 * By the rules that read the file.
 * @param document what `parseConfig` returned, or another of its shape
 * @param directory absolute; what the file's own directory was
 * @param name what messages show in the file's place
 */
export function parseConfigDocument(
  document: Table,
  directory: string,
  name: string,
): ConfigResult {
  return new ConfigReader(document, { file: name }).read(directory);
}

/** Where the document was read. */
interface Source {
  readonly file: string;
  readonly lineOf?: LineOf;
}

class ConfigReader {
  readonly #document: Table;
  readonly #source: Source;
  readonly #problems: ConfigProblem[] = [];

  constructor(document: Table, source: Source) {
    this.#document = document;
    this.#source = source;
  }

  read(directory: string): ConfigResult {
    const { endpoint: endpoints, ...rest } = this.#document;
    const app: AppTable = this.#table(rest, APP_KEYS, [], Object.keys(ENDPOINT_KEYS));
    if (rest["app"] === undefined) this.#report([], 'app is missing: app = "my_app"');
    const tables = this.#endpointTables(endpoints).map((table, index) =>
      this.#endpoint(table, index),
    );
    this.#duplicates(tables, "function");
    this.#duplicates(tables, "label");
    this.#containersOf(tables);
    this.#placement(tables, "boxes");
    this.#placement(tables, "region");
    if (this.#problems.length > 0) return { ok: false, problems: this.#sortedProblems() };

    return {
      ok: true,
      document: this.#document,
      config: {
        ...optional("workspace", app.workspace),
        ...optional("environment", app.environment),
        app: app.app ?? "",
        file: this.#source.file,
        directory,
        ...optional("boxes", tables.find(({ boxes }) => boxes !== undefined)?.boxes),
        ...optional("region", tables.find(({ region }) => region !== undefined)?.region),
        endpoints: resolveEndpoints(tables, directory),
      },
    };
  }

  #endpointTables(endpoints: unknown): readonly Table[] {
    if (Array.isArray(endpoints) && endpoints.length > 0 && endpoints.every(isTable))
      return endpoints;
    const message =
      endpoints === undefined || Array.isArray(endpoints)
        ? "there is no endpoint: begin each one with a line [[endpoint]]"
        : "endpoints form a list: begin each one with a line [[endpoint]], in two brackets";
    this.#report(endpoints === undefined ? [] : ["endpoint"], message);
    return [];
  }

  #endpoint(table: Table, index: number): EndpointTable {
    const path = ["endpoint", index];
    const endpoint: EndpointTable = this.#table(table, ENDPOINT_KEYS, path, Object.keys(APP_KEYS));
    if (table["function"] === undefined) {
      this.#report(path, 'function is missing: function = "my_function"');
    }
    const kinds = kindsOf(table);
    if (kinds.length !== 1) {
      const found = kinds.length === 0 ? "has none" : `has ${kinds.join(" and ")}`;
      this.#report(path, `must have exactly one of ${KIND_KEYS.join(", ")}; it ${found}`);
    }
    for (const { key, wrong, message } of kinds.length === 1 ? COMBINATIONS : []) {
      if (endpoint[key] !== undefined && wrong(endpoint)) {
        this.#report([...path, key], message, endpoint[key]);
      }
    }
    return endpoint;
  }

  /** Returns the keys that have the right type; reports the others. */
  #table(table: Table, keys: KeyTable, path: KeyPath, elsewhere: readonly string[]): Table {
    const right: Record<string, unknown> = {};
    for (const [name, value] of Object.entries(table)) {
      const at = [...path, name];
      const key = Object.hasOwn(keys, name) ? keys[name] : undefined;
      if (key === undefined) {
        this.#report(at, unknownKey(name, Object.keys(keys), elsewhere, path.length > 0), value);
        continue;
      }
      const parsed = key.schema.safeParse(value);
      if (key.supported === "no") this.#report(at, "not supported yet", value);
      if (parsed.success) {
        right[name] = parsed.data;
        if (key.supported === "default" && parsed.data !== key.defaultValue) {
          const only = showValue(key.defaultValue);
          this.#report(at, `not supported yet; only ${only}, the default, is`, value);
        }
      } else if (key.supported !== "no") {
        for (const issue of parsed.error.issues) {
          const inside = issue.path.map((part) => (typeof part === "number" ? part : String(part)));
          this.#report([...at, ...inside], issue.message, valueAt(value, inside));
        }
      }
    }
    return right;
  }

  #duplicates(tables: readonly EndpointTable[], key: "function" | "label"): void {
    const seen = new Set<string>();
    for (const [index, { [key]: name }] of tables.entries()) {
      if (name === undefined) continue;
      if (seen.has(name)) {
        this.#report(["endpoint", index, key], "another endpoint of this app has it already", name);
      }
      seen.add(name);
    }
  }

  #containersOf(tables: readonly EndpointTable[]): void {
    const owners = tables.filter((table) => table.containers_of === undefined);
    const known = new Set(owners.map((table) => table.function));
    for (const [index, { containers_of: owner }] of tables.entries()) {
      if (owner === undefined || known.has(owner)) continue;
      const message =
        "must name the function of another endpoint of this app that has containers of its own";
      this.#report(["endpoint", index, "containers_of"], message, owner);
    }
  }

  /** An app's endpoints run together: whoever says where says the same. */
  #placement(tables: readonly EndpointTable[], key: "boxes" | "region"): void {
    const first = tables.find((table) => table[key] !== undefined);
    for (const [index, table] of tables.entries()) {
      if (table[key] === undefined || showValue(table[key]) === showValue(first?.[key])) continue;
      const message = `all endpoints of an app run on the same boxes: say the same as ${first?.function ?? "the first one"}, or leave it out`;
      this.#report(["endpoint", index, key], message, table[key]);
    }
  }

  /** One problem for a value is enough: the first tells what would be right. */
  #report(path: KeyPath, message: string, value?: unknown): void {
    const key = showPath(this.#named(path));
    const known = (problem: ConfigProblem) => problem.key === key && problem.value !== undefined;
    if (value !== undefined && this.#problems.some(known)) return;
    this.#problems.push({
      file: this.#source.file,
      ...optional("line", this.#source.lineOf?.(path)),
      ...optional("key", key === "" ? undefined : key),
      ...optional("value", value === undefined ? undefined : showValue(value)),
      message,
    });
  }

  /** `endpoint[0]` as `endpoint.chat` where its function says so and no other has the same name. */
  #named(path: KeyPath): KeyPath {
    const [first, index, ...rest] = path;
    const endpoints = this.#document["endpoint"];
    if (first !== "endpoint" || typeof index !== "number" || !Array.isArray(endpoints)) return path;
    const names = endpoints.map((table: unknown) =>
      isTable(table) ? table["function"] : undefined,
    );
    const name = names[index];
    if (typeof name !== "string" || names.indexOf(name) !== names.lastIndexOf(name)) return path;
    return [first, name, ...rest];
  }

  #sortedProblems(): ConfigProblem[] {
    return this.#problems.toSorted((a, b) => (a.line ?? 0) - (b.line ?? 0));
  }
}

function unknownKey(
  name: string,
  known: readonly string[],
  elsewhere: readonly string[],
  inEndpoint: boolean,
): string {
  if (elsewhere.includes(name)) {
    return inEndpoint
      ? "belongs to the app: move it above the first [[endpoint]]"
      : "belongs to an endpoint: move it below a line [[endpoint]]";
  }
  const meant = nearest(name, known);
  return meant === undefined ? "unknown key" : `unknown key; did you mean "${meant}"?`;
}

function isTable(value: unknown): value is Table {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function valueAt(value: unknown, path: KeyPath): unknown {
  let inside = value;
  for (const part of path) {
    if (typeof inside !== "object" || inside === null) return undefined;
    inside = (inside as Record<string | number, unknown>)[part];
  }
  return inside;
}
