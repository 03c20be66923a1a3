/**
 * Reads an app for the commands: from its postern.toml, or from a Python file whose `app` is an ASGI app. An error
 * lists all mistakes at once, and nothing starts.
 */

import { statSync } from "node:fs";
import { basename } from "node:path";
import { stringify } from "smol-toml";
import {
  formatProblems,
  loadConfig,
  parseConfig,
  type AppConfig,
  type ConfigProblem,
  type ConfigResult,
} from "../origin-gpu/config/config.ts";
import { isObjectName, labelOf } from "../routing/names.ts";
import { CommandFailure, UsageError } from "./failure.ts";

/** An app as it is meant, and what its file says of it by the file's own keys. */
export interface AppSource {
  readonly config: AppConfig;
  readonly document: Readonly<Record<string, unknown>>;
}

/** Reads and checks an app; a CommandFailure lists everything that is wrong with it. `--env` wins over the file. */
export async function readConfig(
  path: string,
  environment: string | undefined,
): Promise<AppConfig> {
  return (await readApp(path, { environment })).config;
}

/** The same, with the file's own words. @param name instead of the file's app */
export async function readApp(
  path: string,
  {
    environment,
    name,
  }: { readonly environment?: string | undefined; readonly name?: string | undefined },
): Promise<AppSource> {
  checkName("--env", environment);
  checkName("--name", name);
  const result = path.endsWith(".py")
    ? pythonApp(path, name)
    : await loadConfig(path, generatedLabel);
  if (!result.ok) throw new CommandFailure(mistakes(result.problems));
  const config = {
    ...result.config,
    ...(environment === undefined ? {} : { environment }),
    ...(name === undefined ? {} : { app: name }),
  };
  return { config, document: { ...result.document, app: config.app } };
}

function generatedLabel(app: string, functionName: string): string | undefined {
  const label = labelOf(app, functionName);
  return label.ok ? label.value : undefined;
}

/** `server.py` alone is the app `server` with one function, `app`. */
function pythonApp(path: string, name: string | undefined): ConfigResult {
  const module = basename(path, ".py");
  if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(module)) {
    throw new UsageError(`${path}: "${module}" is not a Python module's name; rename the file`);
  }
  const endpoint = [{ function: "app", asgi: `${module}:app` }];
  if (statSync(path, { throwIfNoEntry: false })?.isFile() !== true) {
    throw new CommandFailure(`${path}: there is no such file`);
  }
  return parseConfig(stringify({ app: name ?? module, endpoint }), path);
}

function checkName(flag: string, name: string | undefined): void {
  if (name === undefined || isObjectName(name)) return;
  throw new UsageError(`${flag}: "${name}" is not 1 to 64 of letters, digits, "-", "." and "_"`);
}

/** Several begin on a line of their own: terminals and editors find a place at the beginning of a line. */
function mistakes(problems: readonly ConfigProblem[]): string {
  const lines = formatProblems(problems);
  return problems.length === 1 ? lines : `${problems.length} mistakes\n${lines}`;
}
