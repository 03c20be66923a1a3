/**
 * Makes one Python environment in an empty directory, with uv where it is on PATH, else with Python's own venv and
 * pip. The programs that it starts end with the agent, as containers do.
 */
import { randomBytes } from "node:crypto";
import { constants } from "node:fs";
import { access, chmod, mkdir, writeFile } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { type AppUser, giveTo } from "../app-user.ts";
import { HOUR_MS } from "../../base/units.ts";
import { PRIVATE_DIRECTORY_MODE } from "../calls/store/files.ts";
import { StartFailure } from "../containers/container.ts";
import { containerEnvironment } from "../containers/environment.ts";
import { LastLines } from "../containers/output-lines.ts";
import { ProcessGroup } from "../containers/process-group.ts";

/** A dozen packages with CUDA take minutes on a slow line. */
const INSTALL_LIMIT_MS = HOUR_MS;

/** Clients see this text. The installer's output may name private things, so that only the log has it. */
const FAILURE = "its requirements can't be installed";

/** A program by which an interpreter prints its executable and the values that tell it from others. */
const IDENTIFY =
  "import json, platform, sys; print(json.dumps([sys.executable, sys.prefix, sys.version, platform.machine()]))";

/** Another user reads it, so that the umask does not decide. */
const READABLE_MODE = 0o644;

/** Like containers: launch.sh finds by it what has left the group. */
const MARK = "POSTERN_CONTAINER_ID";

export interface InstallDeps {
  /** The agent's own environment: pip's and uv's settings, such as an index, are the machine's. */
  readonly inherited: Readonly<Record<string, string | undefined>>;
  readonly log: (line: string) => void;
  /** Runs the interpreter and the installer, which run code of the packages; gets the environment as its own. */
  readonly user?: AppUser | undefined;
  readonly signal: AbortSignal;
}

export interface Interpreter {
  /** Absolute. */
  readonly executable: string;
  /** Another one, or another version: another identity. */
  readonly identity: readonly string[];
}

/**
 * Which interpreter a name or path means.
 * @param python a name for PATH, or a path from the directory
 * @throws StartFailure when it is none
 */
export async function identify(
  python: string,
  directory: string,
  deps: InstallDeps,
): Promise<Interpreter> {
  const failure = `${python} is not a Python interpreter`;
  const lines: string[] = [];
  try {
    const listening = { ...deps, log: (line: string) => lines.push(line) };
    await runProgram([python, "-c", IDENTIFY], directory, failure, listening);
    const [executable, ...identity] = JSON.parse(lines.at(-1) ?? "") as [string, ...string[]];
    return { executable, identity };
  } catch (error) {
    for (const line of lines) deps.log(line);
    throw error instanceof SyntaxError
      ? new StartFailure("starting_failed", failure, lines)
      : error;
  }
}

/**
 * @param directory is not there yet
 * @param list is written: the requirements
 * @throws StartFailure with what the installer printed last
 */
export async function install(
  directory: string,
  { executable }: Interpreter,
  { list, requirements }: { readonly list: string; readonly requirements: readonly string[] },
  deps: InstallDeps,
): Promise<void> {
  const uv = await findProgram("uv", deps.inherited["PATH"]);
  const python = join(directory, "bin", "python");
  const { user } = deps;
  const from = ["--requirement", list];
  const run = (command: readonly string[]) => runProgram(command, "/", FAILURE, deps);
  await writeFile(list, requirements.map((line) => `${line}\n`).join(""));
  if (user !== undefined) {
    await chmod(list, READABLE_MODE);
    await mkdir(directory, { mode: PRIVATE_DIRECTORY_MODE });
    await giveTo(user, directory);
  }
  await run(
    uv === undefined
      ? [executable, "-m", "venv", directory]
      : [uv, "venv", "--python", executable, directory],
  );
  const pip = [python, "-m", "pip", "install", "--disable-pip-version-check", "--no-input"];
  await run(
    uv === undefined
      ? pip.concat("--progress-bar", "off", from)
      : [uv, "pip", "install", "--python", python, ...from],
  );
}

/** @throws StartFailure with this message when it fails, the signal's reason when it is aborted */
async function runProgram(
  command: readonly string[],
  directory: string,
  failure: string,
  { inherited, log, signal, user }: InstallDeps,
): Promise<void> {
  signal.throwIfAborted();
  const last = new LastLines();
  const onLine = (line: string): void => {
    last.push(line);
    log(line);
  };
  const given = { [MARK]: `python-${randomBytes(8).toString("hex")}` };
  const environment = containerEnvironment({ inherited, user, configured: {}, given });
  const group = new ProcessGroup({ command, directory, environment, user, markedBy: MARK, onLine });
  const late = AbortSignal.timeout(INSTALL_LIMIT_MS);
  const ended = AbortSignal.any([signal, late]);
  const end = () => void group.stop("SIGKILL", 0);
  ended.addEventListener("abort", end);
  const { code } = await group.exited;
  ended.removeEventListener("abort", end);
  signal.throwIfAborted();
  if (code === 0) return;
  if (late.aborted) onLine("postern: ended, since it took longer than an hour");
  throw new StartFailure("starting_failed", failure, last.lines);
}

async function findProgram(name: string, path = ""): Promise<string | undefined> {
  for (const directory of path.split(delimiter)) {
    const program = join(directory, name);
    if (directory !== "" && (await isExecutable(program))) return program;
  }
  return undefined;
}

async function isExecutable(file: string): Promise<boolean> {
  return await access(file, constants.X_OK).then(
    () => true,
    () => false,
  );
}
