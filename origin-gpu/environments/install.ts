/**
 * Makes one Python environment in an empty place: with uv where it is on PATH, else with Python's own
 * venv and pip. Programs that it starts end with the agent, as containers do.
 */
import { randomBytes } from "node:crypto";
import { constants } from "node:fs";
import { access, writeFile } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { StartFailure } from "../containers/container.ts";
import { containerEnvironment } from "../containers/environment.ts";
import { LastLines } from "../containers/output-lines.ts";
import { ProcessGroup } from "../containers/process-group.ts";

/** A dozen packages with CUDA take minutes on a slow line. */
const INSTALL_LIMIT_MS = 60 * 60_000;

/** What tells one interpreter from another, in the interpreter's own words. */
const IDENTIFY =
  "import json, platform, sys; print(json.dumps([sys.executable, sys.prefix, sys.version, platform.machine()]))";

/** Like containers: launch.sh finds by it what has left the group. */
const MARK = "POSTERN_CONTAINER_ID";

export interface Surroundings {
  /** The agent's own environment: pip's and uv's settings, such as an index, are the machine's. */
  readonly inherited: Readonly<Record<string, string | undefined>>;
  readonly log: (line: string) => void;
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
  surroundings: Surroundings,
): Promise<Interpreter> {
  const quiet = { ...surroundings, log: () => undefined };
  const lines = await runProgram([python, "-c", IDENTIFY], directory, quiet);
  try {
    const [executable, ...identity] = JSON.parse(lines.at(-1) ?? "") as [string, ...string[]];
    return { executable, identity };
  } catch {
    throw new StartFailure("starting_failed", `${python} is not a Python interpreter`, lines);
  }
}

/** @throws StartFailure with what the installer printed last */
export async function install(
  directory: string,
  { executable }: Interpreter,
  requirements: readonly string[],
  surroundings: Surroundings,
): Promise<void> {
  const uv = await findProgram("uv", surroundings.inherited["PATH"]);
  const python = join(directory, "bin", "python");
  const list = join(directory, "requirements.txt");
  const from = ["--requirement", list];
  const run = (command: readonly string[]) => runProgram(command, "/", surroundings);
  await run(
    uv === undefined
      ? [executable, "-m", "venv", directory]
      : [uv, "venv", "--python", executable, directory],
  );
  await writeFile(list, requirements.map((line) => `${line}\n`).join(""));
  const pip = [python, "-m", "pip", "install", "--disable-pip-version-check", "--no-input"];
  await run(
    uv === undefined
      ? pip.concat("--progress-bar", "off", from)
      : [uv, "pip", "install", "--python", python, ...from],
  );
}

/** @returns what it printed last @throws StartFailure when it fails, the signal's reason when it is aborted */
async function runProgram(
  command: readonly string[],
  directory: string,
  { inherited, log, signal }: Surroundings,
): Promise<readonly string[]> {
  signal.throwIfAborted();
  const last = new LastLines();
  const given = { [MARK]: `python-${randomBytes(8).toString("hex")}` };
  const group = new ProcessGroup({
    command,
    directory,
    environment: containerEnvironment({ inherited, configured: {}, given }),
    markedBy: MARK,
    onLine: (line) => {
      last.push(line);
      log(line);
    },
  });
  const ended = AbortSignal.any([signal, AbortSignal.timeout(INSTALL_LIMIT_MS)]);
  const end = () => void group.stop("SIGKILL", 0);
  ended.addEventListener("abort", end);
  const { code } = await group.exited;
  ended.removeEventListener("abort", end);
  signal.throwIfAborted();
  if (code === 0) return last.lines;
  const why = ended.aborted ? "it took longer than an hour" : reasonIn(last.lines);
  throw new StartFailure("starting_failed", `no Python environment: ${why}`, last.lines);
}

/** pip and uv say last, or behind `ERROR:`, what was wrong. */
function reasonIn(lines: readonly string[]): string {
  const said = lines.filter((line) => line.trim() !== "");
  const line = said.findLast((text) => /^error:/i.test(text)) ?? said.at(-1);
  return line?.trim().replace(/^(error|postern): /i, "") ?? "the installer said nothing";
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
