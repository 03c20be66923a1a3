/**
 * Text of a postern.toml to an `AppConfig`, or to all that is wrong with it at once. Pure: looks at no
 * file and no environment. Refuses what it does not know and what has no effect yet; guesses nothing.
 */
import { dirname, resolve } from "node:path";
import { TomlError, parse as parseToml } from "smol-toml";

import type { AppConfig, EndpointConfig, EndpointKind } from "./app-config.ts";
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
import { type ConfigProblem, nearest, showPath, showValue } from "./problems.ts";

type Table = Readonly<Record<string, unknown>>;

export type ConfigResult =
  | {
      readonly ok: true;
      readonly config: AppConfig;
      /** What the file says, by its own keys. */
      readonly document: Table;
    }
  | { readonly ok: false; readonly problems: readonly ConfigProblem[] };

const DEFAULT_TIMEOUT_S = 300;
const DEFAULT_MAX_DURATION_S = 86_400;
const DEFAULT_EXIT_GRACE_PERIOD_S = 30;
const DEFAULT_MAX_PENDING = 2000;
const DEFAULT_MAX_PENDING_ASYNC = 1_000_000;
const DEFAULT_RESULT_TTL_S = 604_800;

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
  return new ConfigReader(document, locateKeys(text), file).read();
}

class ConfigReader {
  readonly #document: Table;
  readonly #lineOf: LineOf;
  readonly #file: string;
  readonly #problems: ConfigProblem[] = [];

  constructor(document: Table, lineOf: LineOf, file: string) {
    this.#document = document;
    this.#lineOf = lineOf;
    this.#file = file;
  }

  read(): ConfigResult {
    const { endpoint: endpoints, ...rest } = this.#document;
    const app: AppTable = this.#table(rest, APP_KEYS, [], Object.keys(ENDPOINT_KEYS));
    if (rest["app"] === undefined) this.#report([], 'app is missing: app = "my_app"');
    const tables = this.#endpointTables(endpoints).map((table, index) =>
      this.#endpoint(table, index),
    );
    this.#duplicates(tables, "function");
    this.#duplicates(tables, "label");
    this.#containersOf(tables);
    if (this.#problems.length > 0) return { ok: false, problems: this.#sortedProblems() };

    const directory = dirname(resolve(this.#file));
    return {
      ok: true,
      document: this.#document,
      config: {
        ...optional("workspace", app.workspace),
        ...optional("environment", app.environment),
        app: app.app ?? "",
        file: this.#file,
        directory,
        endpoints: tables.map((table) => resolveEndpoint(table, directory)),
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

  /** One problem for a value is enough: the first tells what would be right. */
  #report(path: KeyPath, message: string, value?: unknown): void {
    const key = showPath(this.#named(path));
    const known = (problem: ConfigProblem) => problem.key === key && problem.value !== undefined;
    if (value !== undefined && this.#problems.some(known)) return;
    this.#problems.push({
      file: this.#file,
      line: this.#lineOf(path),
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

function resolveEndpoint(table: EndpointTable, appDirectory: string): EndpointConfig {
  const timeout = table.timeout ?? DEFAULT_TIMEOUT_S;
  return {
    function: table.function ?? "",
    ...optional("label", table.label),
    requiresProxyAuth: table.requires_proxy_auth ?? false,
    kind: resolveKind(table),
    python: table.python ?? "python3",
    directory: resolve(appDirectory, table.directory ?? "."),
    env: table.env ?? {},
    maxInputs: table.max_inputs ?? 1,
    maxPending: table.max_pending ?? DEFAULT_MAX_PENDING,
    maxPendingAsync: table.max_pending_async ?? DEFAULT_MAX_PENDING_ASYNC,
    onDisconnect: table.on_disconnect ?? "cancel",
    resultTtl: table.result_ttl ?? DEFAULT_RESULT_TTL_S,
    cors: resolveCors(table.cors ?? false),
    ...optional("healthPath", table.health_path),
    startupTimeout: table.startup_timeout ?? timeout,
    timeout,
    maxDuration: table.max_duration ?? DEFAULT_MAX_DURATION_S,
    exitGracePeriod: table.exit_grace_period ?? DEFAULT_EXIT_GRACE_PERIOD_S,
    stopSignal: table.stop_signal ?? "SIGTERM",
  };
}

function resolveKind({ asgi, web_server: command, port, upstream }: EndpointTable): EndpointKind {
  if (asgi !== undefined) return { type: "asgi", target: asgi };
  if (command !== undefined) return { type: "web_server", command, ...optional("port", port) };
  if (upstream !== undefined) return { type: "upstream", url: new URL(upstream).origin };
  throw new Error("a kind is marked as supported in keys.ts and not resolved here");
}

function resolveCors(cors: NonNullable<EndpointTable["cors"]>): EndpointConfig["cors"] {
  if (typeof cors === "boolean") return cors;
  const { origins, headers, credentials } = cors;
  return { origins, ...optional("headers", headers), ...optional("credentials", credentials) };
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

/** A property that is absent rather than undefined. */
function optional<Name extends string, Value>(
  name: Name,
  value: Value | undefined,
): { readonly [Key in Name]?: Value } {
  if (value === undefined) return {};
  return { [name]: value } as { readonly [Key in Name]: Value };
}
