/** `postern container`: the containers of the boxes, and what each printed. Boxes alone know them, and are asked. */
import { READ_CONTAINER_LOG } from "../../api/logs.ts";
import { ACCESS_NOTE, findAccess, STATE_OPTION } from "../access.ts";
import { BOX_OPTION, boxAnswers } from "../box-answers.ts";
import { ApiClient, isUnknown } from "../client.ts";
import type { Command, CommandGroup } from "../command.ts";
import { knownEnvironment } from "../environment.ts";
import { CommandFailure } from "../failure.ts";
import { type AskForLines, BoxLog } from "../logs/box-log.ts";
import { followLog } from "../logs/follow-logs.ts";
import { LOG_OPTIONS, logRange } from "../logs/log-line.ts";
import { printedLogs } from "../logs/shown-logs.ts";

const LOGS_OPTIONS = { ...LOG_OPTIONS, ...BOX_OPTION, ...STATE_OPTION } as const;

const LOGS: Command<typeof LOGS_OPTIONS> = {
  description: {
    name: "container logs",
    summary: "Shows what a container prints, or printed before it ended.",
    positionals: ["ID"],
    options: LOGS_OPTIONS,
    notes: [
      "With --follow, until the container has ended, or Ctrl-C.",
      "Lines that begin with `postern:` say what became of the container.",
      ACCESS_NOTE,
    ],
  },
  async run({ values, positionals: [container = ""] }) {
    const range = logRange(values, Date.now());
    const client = new ApiClient(findAccess(values.state, process.env));
    const environment = await knownEnvironment(client, values.env);
    const ask: AskForLines = (box, lines, signal) => {
      const query = { ...lines, environment };
      return client.lines(READ_CONTAINER_LOG, { path: { box, container }, query }, signal);
    };
    const box = await boxOf(client, values.box, container, ask);
    const shown = printedLogs(values);
    const log = new BoxLog(box, { ask, range, signal: shown.signal });
    if (values.follow === true) await followLog(log, shown);
    else for await (const line of log.lines(false)) if (line !== undefined) await shown.print(line);
    return 0;
  },
};

export const CONTAINER: CommandGroup = {
  name: "container",
  summary: "Shows what the containers of the boxes print.",
  commands: { logs: LOGS },
  notYet: ["list", "stop"],
};

/** The box that has a container's log. @throws {CommandFailure} when none does that is connected */
async function boxOf(
  client: ApiClient,
  named: string | undefined,
  container: string,
  ask: AskForLines,
): Promise<string> {
  const { signal } = new AbortController();
  const has = async (box: string): Promise<string | undefined> => {
    try {
      for await (const _sign of ask(box, { tail: 0, follow: "false" }, signal)) break;
      return box;
    } catch (error) {
      if (isUnknown(error) && named === undefined) return undefined;
      throw error;
    }
  };
  for await (const box of boxAnswers(client, named, has)) if (box !== undefined) return box;
  throw new CommandFailure(`no box that is connected has a log of the container ${container}`);
}
