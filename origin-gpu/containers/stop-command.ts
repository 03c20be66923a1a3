/**
 * Runs an endpoint's `stop_command`, which ends what is no process of the container: `docker run` leaves that to Docker.
 * Its time is limited, and its output is the container's.
 */
import { SECOND_MS } from "../../base/units.ts";
import { describeExit } from "./exit-info.ts";
import { ProcessGroup, type ProcessGroupOptions } from "./process-group.ts";

/** A variable for its own processes: in their environment they carry the container's id too. */
const MARK = "POSTERN_STOP_COMMAND_OF";

export interface StopCommandOptions extends Pick<
  ProcessGroupOptions,
  "directory" | "environment" | "user" | "onLine"
> {
  /** The container's id. */
  readonly container: string;
  /** The limit is in seconds. */
  readonly stopCommand: NonNullable<ProcessGroupOptions["stopCommand"]>;
}

export class StopCommand {
  readonly #options: StopCommandOptions;
  #run: Promise<void> | undefined;

  constructor(options: StopCommandOptions) {
    this.#options = options;
  }

  /** Runs it, the first time that it is called. Resolves when it has ended, or was ended at its limit. */
  async run(): Promise<void> {
    if (this.#options.stopCommand.command.length > 0) await (this.#run ??= this.#runOnce());
  }

  async #runOnce(): Promise<void> {
    const { container, stopCommand, directory, environment, user, onLine } = this.#options;
    const { command, limit } = stopCommand;
    const group = new ProcessGroup({
      command,
      directory,
      user,
      onLine,
      environment: { ...environment, [MARK]: container },
      markedBy: MARK,
    });
    let isLate = false;
    const timer = setTimeout(() => {
      isLate = true;
      void group.stop("SIGKILL", 0);
    }, limit * SECOND_MS);
    const exit = await Promise.race([group.exited, group.stuck]);
    clearTimeout(timer);
    if (isLate) {
      onLine(`postern: stop_command did not end within exit_grace_period, ${limit} s`, "postern");
    } else if (exit !== undefined && exit.code !== 0) {
      onLine(`postern: stop_command ended with ${describeExit(exit)}`, "postern");
    }
  }
}
