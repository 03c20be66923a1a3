/**
 * `postern run`: serves a Python file's app for as long as one of its functions runs. A local entrypoint runs in a
 * Python process here; any other function runs in its container, with arguments from the command line.
 */
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import type { RunningAgent } from "../../origin-gpu/agent.ts";
import { dataDirectory } from "../../origin-gpu/apps/shared-data.ts";
import { ACCESS_NOTE, findAccess, STATE_OPTION } from "../access.ts";
import { readApp } from "../app-config.ts";
import { ApiClient } from "../client.ts";
import type { Command } from "../command.ts";
import { chooseEnvironment } from "../environment.ts";
import { devSuffixOf, startEphemeralApp } from "../ephemeral-app.ts";
import { CommandFailure, reasonOf, UsageError } from "../failure.ts";
import { DEFAULT_STATE } from "../gateway/settings.ts";
import { appUserOf, RUN_AS_OPTION } from "../run-as.ts";
import { listenForStop, type StopSignals } from "../stop-signals.ts";

const RUN_PROGRAM = fileURLToPath(
  new URL("../../origin-gpu/python/postern/_run.py", import.meta.url),
);

/** As a shell reports a program that a signal ended. */
const ENDED_BY_SIGNAL = 130;

const OPTIONS = { ...RUN_AS_OPTION, ...STATE_OPTION } as const;

export const RUN: Command<typeof OPTIONS> = {
  description: {
    name: "run",
    summary: "Runs a Python app's local entrypoint or function, and serves the app meanwhile.",
    positionals: ["app.py[::FUNCTION]", "[arguments…]"],
    options: OPTIONS,
    passesOn: true,
    notes: [
      "Without ::FUNCTION it is the only local entrypoint, else the only function. Its arguments are options:",
      "postern run app.py --name value. `postern run app.py --help` lists them.",
      ACCESS_NOTE,
    ],
  },
  async run({ values, positionals: [reference = "", ...passedOn] }) {
    const { file, name } = parseReference(reference);
    const source = await readApp(file, { environment: values.env });
    const { python } = source;
    if (python === undefined) throw new UsageError(`${file} makes no app of the package postern`);
    if (name !== undefined && !python.runnable.includes(name)) {
      const known = python.runnable.join(", ");
      throw new UsageError(`${file} has no function ${name}; it has ${known}`);
    }
    const words = [RUN_PROGRAM, resolve(file), name ?? "", ...passedOn];
    const directory = dirname(resolve(file));
    const program = python.python.includes("/") ? resolve(directory, python.python) : python.python;
    if (passedOn.includes("--help")) return await runProgram(program, words, {}, undefined);
    const state = resolve(values.state ?? DEFAULT_STATE);
    const appUser = await appUserOf(values["run-as"], state);
    const access = findAccess(values.state, process.env);
    const client = new ApiClient(access);
    const environment = await chooseEnvironment(client, source.config.environment, process.env);
    const config = { ...source.config, environment };
    const stop = listenForStop();
    const devSuffix = devSuffixOf(process.env);
    const agent = await startEphemeralApp({ access, config, state, appUser, devSuffix, stop });
    try {
      const { app } = config;
      const variables = {
        POSTERN_APP: app,
        POSTERN_ENVIRONMENT: environment,
        POSTERN_PUBLIC_URLS: JSON.stringify(urlsByFunction(agent)),
        POSTERN_APP_TOKEN: agent.appToken,
        // For commands that the entrypoint runs, as `forward` of the package does.
        ...(values.state !== undefined && { POSTERN_COMMAND_STATE: state }),
        // As the app's containers have it, unless another user runs those.
        ...(appUser === undefined && {
          POSTERN_DATA: dataDirectory(join(state, "data"), environment),
        }),
      };
      return await runProgram(program, words, variables, stop);
    } finally {
      await agent.drain({ clients: "gone" });
    }
  },
};

/** `app.py::name`, `app.py`, and both without `.py`. */
function parseReference(reference: string): { file: string; name: string | undefined } {
  const [path = "", name, ...more] = reference.split("::");
  if (more.length > 0 || name === "") {
    throw new UsageError(`"${reference}" is not a file and a function, such as app.py::main`);
  }
  const file = path.endsWith(".py") || !existsSync(`${path}.py`) ? path : `${path}.py`;
  if (!file.endsWith(".py")) throw new UsageError(`${file} is not a Python file`);
  return { file, name: name?.replace(/^app\./, "") };
}

function urlsByFunction(agent: RunningAgent): Record<string, string> {
  return Object.fromEntries(agent.urls.map(({ function: name, url }) => [name, url]));
}

/** Resolves with the exit code. */
async function runProgram(
  program: string,
  words: readonly string[],
  variables: NodeJS.ProcessEnv,
  stop: StopSignals | undefined,
): Promise<number> {
  const env = { ...process.env, PYTHONDONTWRITEBYTECODE: "1", ...variables };
  const child = spawn(program, words, { stdio: "inherit", env });
  const { promise, resolve: end, reject } = Promise.withResolvers<number>();
  child.once("error", (error) => {
    reject(new CommandFailure(`${program} can't be run: ${reasonOf(error)}`));
  });
  child.once("exit", (code) => end(code ?? ENDED_BY_SIGNAL));
  // A terminal's Ctrl-C reaches the program by itself.
  void stop?.asked.then(() => child.kill("SIGINT"));
  void stop?.insisted.then(() => child.kill("SIGKILL"));
  return await promise;
}
