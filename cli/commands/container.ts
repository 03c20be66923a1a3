/** `postern container`: the containers of the boxes, and what each printed. Boxes alone know them, and are asked. */
import { type ApiContainer, LIST_CONTAINERS, STOP_CONTAINER } from "../../api/containers.ts";
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
import { printJson, printNotice, printResult } from "../output.ts";
import { tableOf } from "../table.ts";

const OPTIONS = { ...BOX_OPTION, ...STATE_OPTION } as const;

const LIST: Command<typeof OPTIONS> = {
  description: {
    name: "container list",
    summary: "Lists the containers of the boxes, with what each is at.",
    positionals: [],
    options: OPTIONS,
    notes: ["With --env, containers of this environment's apps alone.", ACCESS_NOTE],
  },
  async run({ values }) {
    const client = new ApiClient(findAccess(values.state, process.env));
    const environment = await knownEnvironment(client, values.env);
    const ask = async (box: string) => await client.list(LIST_CONTAINERS, { path: { box } });
    const containers: ApiContainer[] = [];
    for await (const listed of boxAnswers(client, values.box, ask)) {
      containers.push(...listed.filter((container) => isOf(container, environment)));
    }
    containers.sort(byEndpoint);
    if (values.json === true) {
      printJson(containers);
      return 0;
    }
    const rows = containers.map((container) => [
      container.container,
      container.box,
      container.endpoint,
      container.version === 0 ? "" : `v${container.version}`,
      container.state,
      container.started_at ?? "",
      String(container.calls),
      container.gpus.join(", "),
      container.port === null ? "" : String(container.port),
      container.parameters ?? "",
    ]);
    const headings = ["ID", "BOX", "ENDPOINT", "VERSION", "STATE", "STARTED", "CALLS"];
    for (const line of tableOf([...headings, "GPUS", "PORT", "PARAMETERS"], rows))
      printResult(line);
    return 0;
  },
};

const STOP: Command<typeof OPTIONS> = {
  description: {
    name: "container stop",
    summary: "Ends a container when it has finished its calls. Calls that wait get another one.",
    positionals: ["ID"],
    options: OPTIONS,
    notes: [ACCESS_NOTE],
  },
  async run({ values, positionals: [container = ""] }) {
    const client = new ApiClient(findAccess(values.state, process.env));
    const environment = await knownEnvironment(client, values.env);
    const stopped = await boxThat(client, values.box, async (box) => {
      await client.call(STOP_CONTAINER, { path: { box, container }, query: { environment } });
    });
    if (stopped === undefined) {
      throw new CommandFailure(`no box that is connected has the container ${container}`);
    }
    if (values.json === true) printJson({ container, box: stopped, stopping: true });
    else printNotice(`${container} on ${stopped} ends when it has finished its calls`);
    return 0;
  },
};

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
    const box = await boxThat(client, values.box, async (name) => {
      const { signal } = new AbortController();
      for await (const _sign of ask(name, { tail: 0, follow: "false" }, signal)) break;
    });
    if (box === undefined) {
      throw new CommandFailure(`no box that is connected has a log of the container ${container}`);
    }
    const shown = printedLogs(values);
    const log = new BoxLog(box, { ask, range, signal: shown.signal });
    if (values.follow === true) await followLog(log, shown);
    else for await (const line of log.lines(false)) if (line !== undefined) await shown.print(line);
    return 0;
  },
};

export const CONTAINER: CommandGroup = {
  name: "container",
  summary: "Shows and stops the containers of the boxes, and what they print.",
  commands: { list: LIST, logs: LOGS, stop: STOP },
};

/** The box that knows what it is asked for; undefined where none of several does. @throws {CommandFailure} */
async function boxThat(
  client: ApiClient,
  named: string | undefined,
  ask: (box: string) => Promise<void>,
): Promise<string | undefined> {
  const asked = async (box: string): Promise<string | undefined> => {
    try {
      await ask(box);
      return box;
    } catch (error) {
      if (isUnknown(error) && named === undefined) return undefined;
      throw error;
    }
  };
  for await (const box of boxAnswers(client, named, asked)) if (box !== undefined) return box;
  return undefined;
}

/** Whether a container is of an environment; each is where none is named. */
function isOf({ endpoint }: ApiContainer, environment: string | undefined): boolean {
  return environment === undefined || endpoint.startsWith(`${environment}/`);
}

function byEndpoint(one: ApiContainer, other: ApiContainer): number {
  const order = (container: ApiContainer) => `${container.endpoint} ${container.started_at ?? "~"}`;
  return order(one) < order(other) ? -1 : 1;
}
