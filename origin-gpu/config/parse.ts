/**
 * Makes an `AppConfig` of a postern.toml, or reports all of its problems at once. The input is text, or the document
 * that a version keeps of it. Pure: reads no file and no environment. Refuses unknown keys and keys that have no
 * effect yet, and guesses nothing.
 */
import { dirname, resolve } from "node:path";
import { TomlError, parse as parseToml } from "smol-toml";
import { nearest } from "../../base/edit-distance.ts";
import { ownerOf, presetOf, withPreset } from "./apply-preset.ts";
import type { AppConfig } from "./app-config.ts";
import { COMBINATIONS, OF_KINDS, kindsOf } from "./combinations.ts";
import { type LabelOf, disagreements } from "./disagreements.ts";
import { pagesByImports } from "./held-requests.ts";
import { problemsIn, valueAt } from "./issues.ts";
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
import { type ConfigProblem, showPath, showValue } from "./problems.ts";
import { resolveEndpoints } from "./resolve.ts";
import { tomlProblem } from "./toml-problem.ts";

type Table = Readonly<Record<string, unknown>>;

export type ConfigResult =
  | {
      readonly ok: true;
      readonly config: AppConfig;
      /** The parsed file, with its own keys. */
      readonly document: Table;
    }
  | { readonly ok: false; readonly problems: readonly ConfigProblem[] };

/** Answers to questions that the text leaves open. A check whose answer is absent is left out. */
export interface ParseContext {
  /** Whether there is a directory at an absolute path. */
  readonly isDirectory?: (path: string) => boolean;
  /** The text of a file at an absolute path; undefined where it can't be read. */
  readonly textOf?: (path: string) => string | undefined;
  readonly labelOf?: LabelOf;
}

/** @param file its path, absolute or relative to the working directory; messages show it as given */
export function parseConfig(text: string, file: string, context: ParseContext = {}): ConfigResult {
  let document: Table;
  try {
    document = parseToml(text, { unsafeKeyBehaviour: "throw" });
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    const message = tomlProblem(error, text);
    return { ok: false, problems: [{ file, line: error.line, message }] };
  }
  const source = { file, lineOf: locateKeys(text), ...context };
  return new ConfigReader(document, source).read(dirname(resolve(file)));
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
  context: ParseContext & { readonly lineOf?: LineOf } = {},
): ConfigResult {
  return new ConfigReader(document, { file: name, ...context }).read(directory);
}

/** Where the document was read. */
interface Source extends ParseContext {
  readonly file: string;
  readonly lineOf?: LineOf;
}

class ConfigReader {
  readonly #document: Table;
  readonly #source: Source;
  readonly #problems: ConfigProblem[] = [];
  /** Keys whose value has a problem. */
  readonly #judged = new Set<string>();
  /** Endpoints with a mistake in their own keys, by their order. */
  readonly #mistaken = new Set<number>();
  /** By the endpoints' order; undefined where the name is none, or not the only one of its kind. */
  readonly #functions: readonly (string | undefined)[];

  constructor(document: Table, source: Source) {
    this.#document = document;
    this.#source = source;
    this.#functions = uniqueFunctions(document["endpoint"]);
  }

  read(directory: string): ConfigResult {
    const { endpoint: endpoints, ...rest } = this.#document;
    const app: AppTable = this.#table(rest, APP_KEYS, [], Object.keys(ENDPOINT_KEYS));
    if (rest["app"] === undefined) this.#report([], 'app is missing: app = "my_app"');
    const given = this.#endpointTables(endpoints).map((table, index) =>
      this.#endpoint(table, index),
    );
    const tables = given.map((table) => withPreset(table, ownerOf(table, given)));
    const problems = [
      ...pagesByImports(tables, this.#mistaken, directory, this.#source.textOf),
      ...disagreements(tables, app.app, this.#source.labelOf),
    ];
    for (const { index, key, message } of problems) {
      this.#report(["endpoint", index, key], message, tables[index]?.[key]);
    }
    this.#directories(tables, directory);
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
    this.#report(endpoints === undefined ? [] : ["endpoint"], message, endpoints);
    return [];
  }

  #endpoint(table: Table, index: number): EndpointTable {
    const path = ["endpoint", index];
    const problemsBefore = this.#problems.length;
    const own: EndpointTable = this.#table(table, ENDPOINT_KEYS, path, Object.keys(APP_KEYS));
    const endpoint = { ...own, ...this.#presetFor(own, table) };
    if (table["function"] === undefined) {
      this.#report(path, 'function is missing: function = "my_function"');
    }
    const kinds = kindsOf(table);
    if (kinds.length !== 1) {
      const found = kinds.length === 0 ? "has none" : `has ${kinds.join(" and ")}`;
      this.#report(path, `must have exactly one of ${KIND_KEYS.join(", ")}; it ${found}`);
    }
    // Which kind was meant is not known otherwise, nor what goes with it.
    const combinations = kinds.length === 1 ? [...OF_KINDS, ...COMBINATIONS] : COMBINATIONS;
    for (const { key, by = [], wrong, message } of combinations) {
      const isJudged = by.every((other) => endpoint[other] !== undefined || !(other in table));
      if (endpoint[key] !== undefined && isJudged && wrong(endpoint, table)) {
        const text = typeof message === "string" ? message : message(endpoint);
        if (key in table) this.#report([...path, key], text, endpoint[key]);
        else this.#report([...path, "app_kind"], `sets ${key}, which ${text}`, own.app_kind);
      }
    }
    if (this.#problems.length > problemsBefore) this.#mistaken.add(index);
    return own;
  }

  /** The keys of its preset; none for a second name, whose containers are another endpoint's. */
  #presetFor(own: EndpointTable, table: Table): EndpointTable {
    if (own.containers_of !== undefined) return {};
    // A key with a mistake of its own is the file's as well.
    const preset = Object.entries(presetOf(own, own)).filter(([key]) => !(key in table));
    return Object.fromEntries(preset) as EndpointTable;
  }

  /** Returns the keys that have the right type; reports the others. */
  #table(table: Table, keys: KeyTable, path: KeyPath, elsewhere: readonly string[]): Table {
    const right: Record<string, unknown> = {};
    for (const [name, value] of Object.entries(table)) {
      const at = [...path, name];
      const key = Object.hasOwn(keys, name) ? keys[name] : undefined;
      if (key === undefined) {
        const known = path.length > 0 ? Object.keys(keys) : [...Object.keys(keys), "endpoint"];
        this.#report(at, unknownKey(name, known, elsewhere, path.length > 0), value);
        continue;
      }
      const parsed = key.schema.safeParse(value);
      if (parsed.success) {
        right[name] = parsed.data;
      } else {
        for (const issue of parsed.error.issues.flatMap(problemsIn)) {
          const inside = issue.path.map((part) => (typeof part === "number" ? part : String(part)));
          this.#report([...at, ...inside], issue.message, valueAt(value, inside));
        }
      }
    }
    return right;
  }

  #directories(tables: readonly EndpointTable[], appDirectory: string): void {
    for (const [index, { directory }] of tables.entries()) {
      if (directory === undefined) continue;
      if (this.#source.isDirectory?.(resolve(appDirectory, directory)) !== false) continue;
      const message = "must be a directory that exists; it is taken relative to this file";
      this.#report(["endpoint", index, "directory"], message, directory);
    }
  }

  /** One problem for a value is enough: the first tells what would be right. */
  #report(path: KeyPath, message: string, value?: unknown): void {
    const key = showPath(this.#named(path));
    if (value !== undefined) {
      if (this.#judged.has(key)) return;
      this.#judged.add(key);
    }
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
    if (first !== "endpoint" || typeof index !== "number") return path;
    const name = this.#functions[index];
    return name === undefined ? path : [first, name, ...rest];
  }

  #sortedProblems(): ConfigProblem[] {
    return this.#problems.toSorted((a, b) => (a.line ?? 0) - (b.line ?? 0));
  }
}

function uniqueFunctions(endpoints: unknown): (string | undefined)[] {
  if (!Array.isArray(endpoints)) return [];
  const names = endpoints.map((table: unknown) => (isTable(table) ? table["function"] : undefined));
  const count = new Map<unknown, number>();
  for (const name of names) count.set(name, (count.get(name) ?? 0) + 1);
  return names.map((name) =>
    typeof name === "string" && count.get(name) === 1 ? name : undefined,
  );
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
  if (meant !== undefined) return `unknown key; did you mean "${meant}"?`;
  return `unknown key; docs/configuration.md lists those of ${inEndpoint ? "an endpoint" : "an app"}`;
}

function isTable(value: unknown): value is Table {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
