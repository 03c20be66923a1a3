/**
 * An app's configuration as a version keeps it: paths of this machine become paths of the snapshot, or stay what
 * they are here. Directories that the snapshot lacks are refused, all at once. Reads no file.
 */

import { isAbsolute, join, relative, resolve } from "node:path";
import {
  edgeSettings,
  type AppConfig,
  type EndpointConfig,
} from "../../origin-gpu/config/config.ts";
import type {
  CodeReference,
  VersionContent,
  VersionEndpoint,
} from "../../routing/wire/deployments.ts";
import type { AppSource } from "../app-config.ts";
import { CommandFailure } from "../failure.ts";

/** A snapshot of the app's directory, as far as its configuration depends on it. */
export interface CodeSnapshot extends CodeReference {
  /** Of every file in it, relative to the app's directory, with forward slashes. */
  readonly paths: ReadonlySet<string>;
}

type Table = Readonly<Record<string, unknown>>;

/** Whether any endpoint starts a process, and so needs the app's directory. */
export function needsCode({ endpoints }: AppConfig): boolean {
  return endpoints.some(runsProcess);
}

/** @throws CommandFailure with every endpoint whose directory the snapshot does not have */
export function versionContent(
  { config, document }: AppSource,
  snapshot: CodeSnapshot | undefined,
): VersionContent {
  const tables = document["endpoint"] as readonly Table[];
  const problems: string[] = [];
  const endpoints = config.endpoints.map((endpoint, index) => {
    const table = tables[index] ?? {};
    // A guest's containers are described where they belong.
    const isGuest = endpoint.containersOf !== undefined;
    if (snapshot === undefined || isGuest || !runsProcess(endpoint)) return table;
    const problem = directoryProblem(config, endpoint, snapshot);
    if (problem !== undefined) problems.push(`${config.file}: ${problem}`);
    return portable(config, endpoint, table, snapshot);
  });
  if (problems.length > 0) throw new CommandFailure(problems.join("\n"));
  // Where it is deployed is the version's own business, not its content.
  const { workspace: _workspace, environment: _environment, ...rest } = document;
  return {
    config: { ...rest, endpoint: endpoints },
    code: snapshot === undefined ? null : { hash: snapshot.hash, bytes: snapshot.bytes },
    endpoints: config.endpoints.map((endpoint) => versionEndpoint(config, endpoint)),
  };
}

function versionEndpoint({ boxes, region }: AppConfig, endpoint: EndpointConfig): VersionEndpoint {
  const { function: name, label, containersOf, secrets, startupTimeout } = endpoint;
  return {
    function: name,
    ...(label === undefined ? {} : { label }),
    pool: containersOf ?? name,
    settings: edgeSettings(endpoint),
    secrets: [...secrets],
    // The whole app is placed, so each of its endpoints says the same.
    ...(boxes === undefined ? {} : { boxes: [...boxes] }),
    ...(region === undefined ? {} : { region: [...region] }),
    startupTimeout,
  };
}

function runsProcess({ kind }: EndpointConfig): boolean {
  return kind.type !== "upstream";
}

function directoryProblem(
  config: AppConfig,
  endpoint: EndpointConfig,
  { paths }: CodeSnapshot,
): string | undefined {
  const key = `endpoint.${endpoint.function}.directory = ${JSON.stringify(endpoint.directory)}`;
  const inside = insideOf(config.directory, endpoint.directory);
  if (inside === undefined) {
    return `${key}: is outside of ${config.directory}, which is what is deployed; move it inside, or this file above it`;
  }
  if (inside === "" || [...paths].some((path) => path.startsWith(`${inside}/`))) return undefined;
  return `${key}: has no file that is deployed; see .gitignore and .posternignore`;
}

/** An endpoint's table with paths that mean the same on a box. */
function portable(
  { directory: appDirectory }: AppConfig,
  endpoint: EndpointConfig,
  table: Table,
  { paths }: CodeSnapshot,
): Table {
  /** A program beside the code goes with it; one that is left out, as a Python environment, is this machine's. */
  const program = (name: string): string => {
    if (!name.includes("/") || isAbsolute(name)) return name;
    const path = resolve(endpoint.directory, name);
    const inside = insideOf(appDirectory, path);
    return inside !== undefined && paths.has(inside) ? name : path;
  };
  const { python, web_server: command } = table;
  const [first, ...rest] = Array.isArray(command) ? (command as string[]) : [];
  return {
    ...table,
    ...(table["directory"] === undefined
      ? {}
      : { directory: join(".", insideOf(appDirectory, endpoint.directory) ?? ".") }),
    ...(typeof python === "string" ? { python: program(python) } : {}),
    ...(first === undefined ? {} : { web_server: [program(first), ...rest] }),
  };
}

/** A path relative to a directory; undefined where it leads out of it. */
function insideOf(directory: string, path: string): string | undefined {
  const inside = relative(directory, path);
  return inside === ".." || inside.startsWith("../") ? undefined : inside;
}
