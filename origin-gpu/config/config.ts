/**
 * Reads a postern.toml from the disk, and answers parse.ts's questions about directories and files beside it. parse.ts
 * interprets the text.
 */
import { readFileSync, statSync } from "node:fs";
import { readFile } from "node:fs/promises";

import type { LabelOf } from "./disagreements.ts";
import { optional } from "./optional.ts";
import { type ConfigResult, parseConfig } from "./parse.ts";
import type { ConfigProblem } from "./problems.ts";

export type { AppConfig, EndpointConfig, EndpointKind } from "./app-config.ts";
export { explainApp } from "./explain.ts";
export { edgeSettings } from "./edge-settings.ts";
export { FORWARDED, forwardConfig } from "./forward-config.ts";
export { type ConfigResult, parseConfig, parseConfigDocument } from "./parse.ts";
export { type ConfigProblem, formatProblems } from "./problems.ts";

/** A configuration has some kilobytes; a larger file was named by mistake. */
const MAX_CONFIG_BYTES = 1024 * 1024;

const FILE_ERRORS: Readonly<Record<string, string>> = {
  ENOENT: "there is no such file",
  EISDIR: "is a directory; name the postern.toml in it",
  EACCES: "can't be read: permission denied",
  ENOTDIR: "there is no such file",
};

/** Never throws for what a user can get wrong: a file that can't be read is a problem like any other. */
export async function loadConfig(file: string, labelOf?: LabelOf): Promise<ConfigResult> {
  let bytes: Buffer;
  try {
    bytes = await readFile(file);
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "unknown error";
    return refused({ file, message: FILE_ERRORS[code] ?? `can't be read: ${code}` });
  }
  if (bytes.length > MAX_CONFIG_BYTES) {
    return refused({ file, message: "is larger than 1 MiB and can't be a configuration" });
  }
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return refused({ file, message: "is not UTF-8 text" });
  }
  return parseConfig(text, file, { isDirectory, textOf, ...optional("labelOf", labelOf) });
}

function isDirectory(path: string): boolean {
  try {
    return statSync(path).isDirectory();
  } catch {
    return false;
  }
}

function textOf(path: string): string | undefined {
  try {
    if (statSync(path).size > MAX_CONFIG_BYTES) return undefined;
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}

function refused(problem: ConfigProblem): ConfigResult {
  return { ok: false, problems: [problem] };
}
