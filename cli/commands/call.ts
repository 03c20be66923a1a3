/** `postern call`: what runs on a box and what it keeps. */

import { ACCESS_NOTE, findAccess, STATE_OPTION } from "../access.ts";
import { boxName } from "../agent.ts";
import { ApiClient } from "../client.ts";
import type { Command, CommandGroup } from "../command.ts";
import { printJson, printNotice, printResult } from "../output.ts";
import { tableOf } from "../table.ts";

/** As the API shows it. */
interface Call {
  readonly call: string;
  readonly endpoint: string;
  readonly method?: string;
  readonly path?: string;
  readonly status: string;
  readonly box: string;
  readonly kept: boolean;
  readonly elapsed_ms: number;
  readonly timeline: readonly { readonly state: string; readonly at_ms: number }[];
}

const OPTIONS = {
  box: { type: "string", value: "NAME", summary: "the box that runs it (this machine)" },
  ...STATE_OPTION,
} as const;

type Values = { readonly box?: string | undefined; readonly state?: string | undefined };

/** A box may keep millions: whoever wants them all asks the API page by page. */
const MOST_SHOWN = 100;

interface Calls {
  readonly items: readonly Call[];
  readonly next_cursor: string | null;
}

const LIST: Command<typeof OPTIONS> = {
  description: {
    name: "call list",
    summary: "Lists a box's calls: those that run, and the newest that it keeps.",
    positionals: [],
    options: OPTIONS,
    notes: [ACCESS_NOTE],
  },
  async run({ values }) {
    const path = `${pathOf(values)}?limit=${MOST_SHOWN}`;
    const { items, next_cursor: next } = await clientOf(values).get<Calls>(path);
    if (next !== null) printNotice(`the box has more calls; these are ${MOST_SHOWN} of them`);
    if (values.json === true) {
      printJson(items);
      return 0;
    }
    const rows = items.map((call) => [
      call.call,
      call.endpoint,
      call.method === undefined ? "" : `${call.method} ${call.path ?? ""}`,
      call.status,
      seconds(call.elapsed_ms),
    ]);
    for (const line of tableOf(["ID", "ENDPOINT", "REQUEST", "STATUS", "TOOK"], rows)) {
      printResult(line);
    }
    return 0;
  },
};

const INSPECT: Command<typeof OPTIONS> = {
  description: {
    name: "call inspect",
    summary: "Shows a call and its timeline.",
    positionals: ["ID"],
    options: OPTIONS,
    notes: [ACCESS_NOTE],
  },
  async run({ values, positionals: [id = ""] }) {
    const call = await clientOf(values).get<Call>(pathOf(values, id));
    if (values.json === true) {
      printJson(call);
      return 0;
    }
    printResult(`${call.call}  ${call.status}`);
    printResult(`endpoint  ${call.endpoint}`);
    printResult(`box       ${call.box}`);
    if (call.method !== undefined) printResult(`request   ${call.method} ${call.path ?? ""}`);
    for (const { state, at_ms: at } of call.timeline) {
      printResult(`${seconds(at).padStart(9)}  ${state}`);
    }
    return 0;
  },
};

const CANCEL: Command<typeof OPTIONS> = {
  description: {
    name: "call cancel",
    summary: "Cancels a call that waits or runs.",
    positionals: ["ID"],
    options: OPTIONS,
    notes: [ACCESS_NOTE],
  },
  async run({ values, positionals: [id = ""] }) {
    await clientOf(values).delete(pathOf(values, id));
    if (values.json === true) printJson({ call: id, cancelled: true });
    else printNotice(`${id} does not run any more`);
    return 0;
  },
};

export const CALL: CommandGroup = {
  name: "call",
  summary: "Shows and cancels the calls of a box.",
  commands: { list: LIST, inspect: INSPECT, cancel: CANCEL },
};

function clientOf({ state }: Values): ApiClient {
  return new ApiClient(findAccess(state, process.env));
}

function pathOf({ box }: Values, id?: string): string {
  const calls = `/boxes/${encodeURIComponent(box ?? boxName())}/calls`;
  return id === undefined ? calls : `${calls}/${encodeURIComponent(id)}`;
}

function seconds(milliseconds: number): string {
  return `${(milliseconds / 1000).toFixed(3)} s`;
}
