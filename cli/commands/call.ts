/**
 * `postern call`: lists, shows and cancels the calls that run on the boxes or are stored there. Only a call's box
 * knows the call. So the command asks each connected box, unless the user names one.
 */

import { type ApiCall, CANCEL_CALL, INSPECT_CALL, LIST_CALLS } from "../../api/calls.ts";
import { LIST_BOXES } from "../../api/boxes.ts";
import { ACCESS_NOTE, findAccess, STATE_OPTION } from "../access.ts";
import { ApiClient, Unavailable } from "../client.ts";
import type { Command, CommandGroup } from "../command.ts";
import { CommandFailure } from "../failure.ts";
import { printJson, printNotice, printResult } from "../output.ts";
import { tableOf } from "../table.ts";

const OPTIONS = {
  box: { type: "string", value: "NAME", summary: "the box that runs it (all that are connected)" },
  ...STATE_OPTION,
} as const;

type CallValues = { readonly box?: string | undefined; readonly state?: string | undefined };

/** Of a box. It may keep millions: whoever wants them all asks the API page by page. */
const MOST_SHOWN = 100;

const LIST: Command<typeof OPTIONS> = {
  description: {
    name: "call list",
    summary: "Lists calls: those that run, and the newest that their boxes keep.",
    positionals: [],
    options: OPTIONS,
    notes: [ACCESS_NOTE],
  },
  async run({ values }) {
    const client = clientOf(values);
    const calls: ApiCall[] = [];
    const ask = async (box: string) => ({
      box,
      page: await client.call(LIST_CALLS, { path: { box }, query: { limit: MOST_SHOWN } }),
    });
    for await (const { box, page } of answers(client, values, ask)) {
      calls.push(...page.items);
      if (page.next_cursor !== null) {
        printNotice(`${box} has more calls; these are ${MOST_SHOWN} of them`);
      }
    }
    if (values.json === true) {
      printJson(calls);
      return 0;
    }
    const rows = calls.map((call) => [
      call.call,
      call.box,
      call.endpoint,
      call.method === undefined ? "" : `${call.method} ${call.path ?? ""}`,
      call.status,
      seconds(call.elapsed_ms),
    ]);
    for (const line of tableOf(["ID", "BOX", "ENDPOINT", "REQUEST", "STATUS", "TOOK"], rows)) {
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
    const client = clientOf(values);
    const call =
      values.box === undefined
        ? (await findCall(client, values, id)).call
        : await client.call(INSPECT_CALL, { path: { box: values.box, id } });
    if (values.json === true) {
      printJson(call);
      return 0;
    }
    printResult(`${call.call}  ${call.status}`);
    printResult(`endpoint  ${call.endpoint}`);
    printResult(`box       ${call.box}`);
    if (call.container !== undefined) printResult(`container ${call.container}`);
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
    const client = clientOf(values);
    const box = values.box ?? (await findCall(client, values, id)).box;
    await client.call(CANCEL_CALL, { path: { box, id } });
    if (values.json === true) printJson({ call: id, cancelled: true });
    else printNotice(`${id} does not run any more`);
    return 0;
  },
};

export const CALL: CommandGroup = {
  name: "call",
  summary: "Shows and cancels the calls of the boxes.",
  commands: { list: LIST, inspect: INSPECT, cancel: CANCEL },
};

function clientOf({ state }: CallValues): ApiClient {
  return new ApiClient(findAccess(state, process.env));
}

/**
 * Yields the answer of the box that the user named, or those of all connected boxes, one after the other. Among
 * all boxes, one that is unavailable is passed over with a notice.
 * @throws CommandFailure when no box is connected
 */
async function* answers<Answer>(
  client: ApiClient,
  { box: named }: CallValues,
  ask: (box: string) => Promise<Answer>,
): AsyncGenerator<Answer> {
  if (named !== undefined) {
    yield await ask(named);
    return;
  }
  const boxes = await client.list(LIST_BOXES, {});
  const connected = boxes.filter((box) => box.connected);
  if (connected.length === 0)
    throw new CommandFailure("no box is connected, and boxes alone know calls");
  for (const { name } of connected) {
    try {
      yield await ask(name);
    } catch (error) {
      if (!(error instanceof Unavailable)) throw error;
      printNotice(`${name}: ${error.message}`);
    }
  }
}

/** A call, and the box that knows it. @throws CommandFailure when none does */
async function findCall(
  client: ApiClient,
  values: CallValues,
  id: string,
): Promise<{ readonly box: string; readonly call: ApiCall }> {
  const ask = async (box: string) => ({
    box,
    call: await client.find(INSPECT_CALL, { path: { box, id } }),
  });
  for await (const { box, call } of answers(client, values, ask)) {
    if (call !== undefined) return { box, call };
  }
  throw new CommandFailure(`no box that is connected knows the call ${id}`);
}

function seconds(milliseconds: number): string {
  return `${(milliseconds / 1000).toFixed(3)} s`;
}
