/** Imports the app of a file: its default export, or what it exports as `app`. */
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";

import type { Application } from "./asgi.d.ts";
import { report } from "./report.ts";

/**
 * @param file relative to the working directory
 * @returns undefined where there is no app; the log says why
 * @throws a file's SyntaxError: Node knows the place, and tells it when it ends the process
 */
export async function loadApp(file: string): Promise<Application | undefined> {
  const path = resolve(file);
  if (!existsSync(path)) {
    report(`there is no file ${file} in ${process.cwd()}`);
    return undefined;
  }
  let exported: { readonly default?: unknown; readonly app?: unknown };
  try {
    exported = (await import(pathToFileURL(path).href)) as typeof exported;
  } catch (error) {
    const [reason] = String(error).split("\n");
    const isPlaced = !(error instanceof SyntaxError);
    report(`importing ${file} failed: ${reason}`, isPlaced ? error : undefined);
    if (isPlaced) return undefined;
    throw error;
  }
  const app = exported.default ?? exported.app;
  if (typeof app === "function") return app as Application;
  const is = app === undefined ? "exports neither a default nor an app" : `exports a ${typeof app}`;
  report(`${file} ${is}; export default async function app(scope, receive, send) { … }`);
  return undefined;
}
