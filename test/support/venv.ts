/**
 * The Python of the tests: one virtual environment in the checkout (.test/venv), with what
 * requirements.txt lists. Making it takes a minute once; afterwards asking costs nothing. Run as a
 * program, it makes the environment and prints the interpreter's path.
 */
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const INSTALL_TIMEOUT_MS = 10 * 60_000;
const VENV = fileURLToPath(new URL("../../.test/venv", import.meta.url));
const PYTHON = `${VENV}/bin/python`;

/** Makes the environment unless it is there and complete. Returns the interpreter's path. */
export async function ensureVenv(): Promise<string> {
  const script = fileURLToPath(new URL("make_venv.py", import.meta.url));
  const requirements = fileURLToPath(new URL("requirements.txt", import.meta.url));
  await promisify(execFile)("python3", [script, VENV, requirements], {
    timeout: INSTALL_TIMEOUT_MS,
  });
  return PYTHON;
}

/** The interpreter's path if an environment has been made; for tests that are not worth an install. */
export function existingVenv(): string | undefined {
  return existsSync(`${VENV}/complete`) ? PYTHON : undefined;
}

if (import.meta.main) console.log(await ensureVenv());
