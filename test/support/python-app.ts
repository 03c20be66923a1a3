/** Apps of the Python package `postern`, served or deployed by the real command on the tests' Python. */
import { writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { type Gateway, startCommand, WORKSPACE } from "./harness.ts";
import type { Address } from "./http-client.ts";
import type { ManagedProcess } from "./processes.ts";
import { temporaryDirectory } from "./temporary.ts";
import { ensureVenv } from "./venv.ts";

/** Variables with which the command finds the tests' Python, as in an active virtual environment. */
export async function activeVenv(): Promise<NodeJS.ProcessEnv> {
  const python = await ensureVenv();
  return {
    VIRTUAL_ENV: dirname(dirname(python)),
    PATH: `${dirname(python)}:${process.env["PATH"] ?? ""}`,
  };
}

/** Writes an app's file into a directory of its own. */
export function writePythonApp(name: string, text: string): string {
  const file = join(temporaryDirectory(), `${name}.py`);
  writeFileSync(file, text);
  return file;
}

export interface ServedPython {
  readonly process: ManagedProcess;
  readonly file: string;
  /** Where a function of its app answers. */
  readonly address: (functionName: string) => Address;
}

/** `postern serve app.py`, ready when it has printed this function's URL. */
export async function servePython(
  gateway: Gateway,
  file: string,
  { app, ready }: { readonly app: string; readonly ready: string },
): Promise<ServedPython> {
  const managed = startCommand(["serve", file, "--state", gateway.stateDirectory], {
    cwd: dirname(file),
    env: await activeVenv(),
  });
  const { port } = gateway;
  const address = (functionName: string): Address => ({
    port,
    host: `${WORKSPACE}--${app}-${functionName}-dev.localhost:${port}`,
  });
  const { host } = address(ready);
  await managed.waitForOutput(new RegExp(`^http://${host.replaceAll(".", "\\.")}$`, "m"));
  return { process: managed, file, address };
}
