/**
 * The Python of the tests: virtual environments in the checkout (.test/), each with what its list of
 * requirements says. Making one takes a minute once; afterwards asking costs nothing. Run as a program, it
 * makes the one that the apps of the tests run in and prints the interpreter's path.
 */
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const INSTALL_TIMEOUT_MS = 10 * 60_000;
const VENV = fileURLToPath(new URL("../../.test/venv", import.meta.url));
const API_VENV = fileURLToPath(new URL("../../.test/api-venv", import.meta.url));
const PYTHON = `${VENV}/bin/python`;

/** Makes the apps' environment unless it is there and complete. Returns the interpreter's path. */
export async function ensureVenv(): Promise<string> {
  await make(VENV, "requirements.txt");
  return PYTHON;
}

/** Makes the environment of the programs that judge the API. Returns the folder of its commands. */
export async function ensureApiVenv(): Promise<string> {
  await make(API_VENV, "api-requirements.txt");
  return `${API_VENV}/bin`;
}

/** Makes the environment of what judges and builds the Python package. Returns the folder of its commands. */
export async function ensurePythonTools(): Promise<string> {
  const directory = fileURLToPath(new URL("../../.test/python-tools", import.meta.url));
  await make(directory, "python-tools.txt");
  return `${directory}/bin`;
}

/**
 * Makes an environment of servers and clients with sessions, some 500 MB, by the name of its list in
 * sessions/requirements/. Returns the interpreter's path.
 */
export async function ensureSessionsVenv(list = "current"): Promise<string> {
  const directory = fileURLToPath(new URL(`../../.test/sessions-${list}`, import.meta.url));
  await make(directory, `sessions/requirements/${list}.txt`);
  return `${directory}/bin/python`;
}

async function make(directory: string, list: string): Promise<void> {
  const script = fileURLToPath(new URL("make_venv.py", import.meta.url));
  const requirements = fileURLToPath(new URL(list, import.meta.url));
  await promisify(execFile)("python3", [script, directory, requirements], {
    timeout: INSTALL_TIMEOUT_MS,
  });
}

/** The interpreter's path if an environment has been made; for tests that are not worth an install. */
export function existingVenv(): string | undefined {
  return existsSync(`${VENV}/complete`) ? PYTHON : undefined;
}

if (import.meta.main) console.log(await ensureVenv());
