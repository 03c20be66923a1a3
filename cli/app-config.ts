/**
 * Reads an app for the commands: from its postern.toml, or from a Python file that makes an app with the package
 * `postern`, or whose `app` is an ASGI app. An error lists all mistakes at once, and nothing starts.
 */

import { statSync } from "node:fs";
import { basename, dirname, resolve } from "node:path";
import { stringify } from "smol-toml";
import {
  formatProblems,
  loadConfig,
  parseConfig,
  parseConfigDocument,
  type AppConfig,
  type ConfigProblem,
  type ConfigResult,
} from "../origin-gpu/config/config.ts";
import { isObjectName, labelOf } from "../routing/names.ts";
import { CommandFailure, UsageError } from "./failure.ts";
import { describePython, type DescribedApp, usesPackage } from "./python-app.ts";

/** An app as it is meant, and what its file says of it by the file's own keys. */
export interface AppSource {
  readonly config: AppConfig;
  readonly document: Readonly<Record<string, unknown>>;
  /** Of an app that a Python file makes: what the file says besides. */
  readonly python?: DescribedApp | undefined;
}

type PythonResult = ConfigResult & { readonly python?: DescribedApp };

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
  const result: PythonResult = path.endsWith(".py")
    ? await pythonApp(path, name)
    : await loadConfig(path, generatedLabel);
  if (!result.ok) throw new CommandFailure(mistakes(result.problems));
  const config = {
    ...result.config,
    ...(environment === undefined ? {} : { environment }),
    ...(name === undefined ? {} : { app: name }),
  };
  const document = { ...result.document, app: config.app };
  return { config, document, python: result.python };
}

function generatedLabel(app: string, functionName: string): string | undefined {
  const label = labelOf(app, functionName);
  return label.ok ? label.value : undefined;
}

/** A file that does not import the package, `server.py`, is the app `server` with one function, `app`. */
async function pythonApp(path: string, name: string | undefined): Promise<PythonResult> {
  const module = basename(path, ".py");
  if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(module)) {
    throw new UsageError(`${path}: "${module}" is not a Python module's name; rename the file`);
  }
  if (statSync(path, { throwIfNoEntry: false })?.isFile() !== true) {
    throw new CommandFailure(`${path}: there is no such file`);
  }
  if (!usesPackage(path)) {
    const endpoint = [{ function: "app", asgi: `${module}:app` }];
    return parseConfig(stringify({ app: name ?? module, endpoint }), path);
  }
  const described = await describePython(path);
  if ("problems" in described) return { ok: false, problems: described.problems };
  const { app } = described;
  const document = name === undefined ? app.document : { ...app.document, app: name };
  const result = parseConfigDocument(document, dirname(resolve(path)), path, {
    // Of an endpoint its decorator's line; the app's own is not told.
    lineOf: ([first, index]) =>
      (first === "endpoint" && typeof index === "number" ? app.lines[index] : undefined) ?? 1,
    labelOf: generatedLabel,
  });
  return result.ok ? { ...result, python: app } : result;
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
