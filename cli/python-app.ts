/**
 * Describes a Python file whose app the package `postern` makes. The box's Python imports the file and tells the app in
 * the words of postern.toml; the rules that read a postern.toml judge them, and name the file's lines.
 */
import { spawn } from "node:child_process";
import { accessSync, constants, readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { text } from "node:stream/consumers";
import type { Readable } from "node:stream";
import { fileURLToPath } from "node:url";
import * as z from "zod";
import type { ConfigProblem } from "../origin-gpu/config/config.ts";
import { CommandFailure, reasonOf } from "./failure.ts";
import { printNotice } from "./output.ts";

/** An import of large libraries takes long on a cold disk. */
const DESCRIBE_TIMEOUT_MS = 5 * 60_000;

/** stdin, stdout and stderr are before it. */
const DESCRIPTOR = 3;

const DESCRIBE = fileURLToPath(
  new URL("../origin-gpu/python/postern/_describe.py", import.meta.url),
);

const FINDING = z.object({ file: z.string(), line: z.int(), message: z.string() });

const DESCRIPTION = z.object({
  document: z.record(z.string(), z.unknown()).nullable(),
  lines: z.array(z.int()),
  runnable: z.array(z.string()),
  problems: z.array(FINDING),
  notices: z.array(FINDING),
});

/** An app as its file makes it. */
export interface DescribedApp {
  /** In the words of postern.toml. */
  readonly document: Readonly<Record<string, unknown>>;
  /** Of each endpoint, in the file. */
  readonly lines: readonly number[];
  /** Names of its local entrypoints, functions and methods. */
  readonly runnable: readonly string[];
  /** As the operator would name it. */
  readonly python: string;
}

type Described = { readonly app: DescribedApp } | { readonly problems: readonly ConfigProblem[] };

/** Whether a file imports the package: any other one is an ASGI app as it stands, and is not run to be read. */
export function usesPackage(file: string): boolean {
  return /^\s*(?:import|from)\s+postern\b/m.test(readFileSync(file, "utf8"));
}

/** Runs the file to read its app. Its mistakes are problems. @throws CommandFailure when Python can't be run */
export async function describePython(file: string): Promise<Described> {
  const python = pythonFor(file);
  const description = await run(python, file);
  if (description === undefined) {
    const line = 1;
    return { problems: [{ file, line, message: `${python} ended while it read the file` }] };
  }
  const { document, lines, runnable, problems, notices } = description;
  for (const { file: where, line, message } of notices) printOnce(`${where}:${line}: ${message}`);
  if (problems.length > 0 || document === null) return { problems };
  return { app: { document, lines, runnable, python } };
}

/** The interpreter: of the active virtual environment, of `.venv` beside the file, or of PATH. */
function pythonFor(
  file: string,
  environment: Readonly<Record<string, string | undefined>> = process.env,
): string {
  const { VIRTUAL_ENV: active } = environment;
  const found = active ? join(active, "bin", "python") : ".venv/bin/python";
  try {
    accessSync(resolve(dirname(file), found), constants.X_OK);
    return found;
  } catch {
    return "python3";
  }
}

async function run(
  python: string,
  file: string,
): Promise<z.output<typeof DESCRIPTION> | undefined> {
  const directory = dirname(resolve(file));
  const program = python.includes("/") ? resolve(directory, python) : python;
  const words = [DESCRIBE, resolve(file), "--descriptor", `${DESCRIPTOR}`, "--python", python];
  // The file may print at its import. That is for a person: stdout has the command's results.
  const child = spawn(program, words, {
    cwd: directory,
    stdio: ["ignore", 2, "inherit", "pipe"],
    env: { ...process.env, PYTHONDONTWRITEBYTECODE: "1" },
    timeout: DESCRIBE_TIMEOUT_MS,
    killSignal: "SIGKILL",
  });
  const { promise: failed, reject } = Promise.withResolvers<never>();
  failed.catch(() => undefined);
  child.once("error", (error) => {
    reject(new CommandFailure(`${file}: ${program} can't be run: ${reasonOf(error)}`));
  });
  const told = await Promise.race([text(child.stdio[DESCRIPTOR] as Readable), failed]);
  const description = DESCRIPTION.safeParse(parsed(told));
  return description.success ? description.data : undefined;
}

function parsed(told: string): unknown {
  try {
    return JSON.parse(told);
  } catch {
    return undefined;
  }
}

const printed = new Set<string>();

/** `serve` reads a file again after each edit. */
function printOnce(line: string): void {
  if (printed.has(line)) return;
  printed.add(line);
  printNotice(line);
}
