/** Runs a program of the system for its output, with bounds on its time and its output. */
import { execFile, type ExecFileOptions } from "node:child_process";
import { within } from "../../base/runtime/within.ts";
import { MIB } from "../../base/units.ts";

export interface ProgramOutput {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

export type ProgramFailure =
  /** There is no such program, or this user may not run it. */
  | "absent"
  /** It did not end in time. */
  | "late";

export type RunProgram = (
  program: string,
  args: readonly string[],
) => Promise<ProgramOutput | ProgramFailure>;

const MOST_OUTPUT_BYTES = 4 * MIB;

/**
 * A program that does not end in time is killed and not waited for: one that asks a driver which hangs may not die.
 * While it lives, the same program is not started again, and is "late".
 */
export function programRunner(limitMs: number, killSignal: NodeJS.Signals = "SIGKILL"): RunProgram {
  const running = new Set<string>();
  return async (program, args) => {
    if (running.has(program)) return "late";
    running.add(program);
    const ended = execute(program, args, { timeout: limitMs, killSignal });
    void ended.finally(() => running.delete(program));
    return (await within(limitMs, ended)) ?? "late";
  };
}

async function execute(
  program: string,
  args: readonly string[],
  limits: Pick<ExecFileOptions, "timeout" | "killSignal">,
): Promise<ProgramOutput | ProgramFailure> {
  // Numbers and messages without the words of a language.
  const env = { ...process.env, LC_ALL: "C" };
  const options = { ...limits, env, maxBuffer: MOST_OUTPUT_BYTES };
  return await new Promise((resolve) => {
    execFile(program, args, options, (error, stdout, stderr) => {
      const code = error?.code ?? 0;
      if (code === "ENOENT" || code === "EACCES") resolve("absent");
      else if (error?.killed === true) resolve("late");
      else resolve({ exitCode: typeof code === "number" ? code : 1, stdout, stderr });
    });
  });
}
