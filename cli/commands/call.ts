/**
 * `postern call`: lists, shows and cancels the calls that run on the boxes or are stored there. Only a call's box
 * knows the call. So the command asks each connected box, unless the user names one.
 */

import { type ApiCall, CANCEL_CALL, INSPECT_CALL, LIST_CALLS } from "../../api/calls.ts";
import { ACCESS_NOTE, findAccess, STATE_OPTION } from "../access.ts";
import { BOX_OPTION, boxAnswers } from "../box-answers.ts";
import { ApiClient, PAGE_ITEMS } from "../client.ts";
import type { Command, CommandGroup } from "../command.ts";
import { knownEnvironment } from "../environment.ts";
import { CommandFailure, UsageError } from "../failure.ts";
import { printJson, printNotice, printResult } from "../output.ts";
import { tableOf } from "../table.ts";

const OPTIONS = { ...BOX_OPTION, ...STATE_OPTION } as const;

interface CallValues {
  readonly box?: string | undefined;
  readonly state?: string | undefined;
  readonly env?: string | undefined;
}

/** A call of these statuses can be cancelled. */
const OPEN_STATUSES: ReadonlySet<ApiCall["status"]> = new Set(["pending", "running"]);

/** Of a box. It may keep millions. */
const DEFAULT_LIMIT = 100;

const LIST_OPTIONS = {
  limit: {
    type: "string",
    value: "N",
    summary: `at most so many calls of each box (${DEFAULT_LIMIT})`,
  },
  ...OPTIONS,
} as const;

const LIST: Command<typeof LIST_OPTIONS> = {
  description: {
    name: "call list",
    summary: "Lists calls: those that run, and the newest that their boxes keep.",
    positionals: [],
    options: LIST_OPTIONS,
    notes: ["With --env, calls of this environment's apps alone.", ACCESS_NOTE],
  },
  async run({ values }) {
    const limit = limitOf(values.limit);
    const client = clientOf(values);
    const environment = await knownEnvironment(client, values.env);
    const isWanted = (call: ApiCall) => isOf(call, environment);
    const calls: ApiCall[] = [];
    const ask = async (box: string) => ({
      box,
      ...(await callsOf(client, box, { limit, isWanted })),
    });
    for await (const { box, found, hasMore } of boxAnswers(client, values.box, ask)) {
      calls.push(...found);
      if (hasMore) printNotice(`${box} has more calls than these ${limit}; --limit N shows more`);
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
      call.created_at ?? "",
      seconds(call.elapsed_ms),
    ]);
    for (const line of tableOf(
      ["ID", "BOX", "ENDPOINT", "REQUEST", "STATUS", "CREATED", "TOOK"],
      rows,
    )) {
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
    const call = await findCall(clientOf(values), values, id);
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
    const { box, status } = await findCall(client, values, id);
    const isOpen = OPEN_STATUSES.has(status);
    if (isOpen) await client.call(CANCEL_CALL, { path: { box, id } });
    if (values.json === true) printJson({ call: id, cancelled: isOpen });
    else if (isOpen) printNotice(`${id} was cancelled`);
    else printNotice(`${id} had ended before: ${status}`);
    return 0;
  },
};

export const CALL: CommandGroup = {
  name: "call",
  summary: "Shows and cancels the calls of the boxes.",
  commands: { list: LIST, inspect: INSPECT, cancel: CANCEL },
};

/** The newest calls of a box that somebody wants, from as many pages as that takes. */
async function callsOf(
  client: ApiClient,
  box: string,
  { limit, isWanted }: { readonly limit: number; readonly isWanted: (call: ApiCall) => boolean },
): Promise<{ readonly found: readonly ApiCall[]; readonly hasMore: boolean }> {
  const found: ApiCall[] = [];
  let cursor: string | undefined;
  do {
    const query = { limit: PAGE_ITEMS, ...(cursor === undefined ? {} : { cursor }) };
    const page = await client.call(LIST_CALLS, { path: { box }, query });
    found.push(...page.items.filter(isWanted));
    cursor = page.next_cursor ?? undefined;
  } while (cursor !== undefined && found.length <= limit);
  return { found: found.slice(0, limit), hasMore: found.length > limit };
}

function limitOf(text: string = String(DEFAULT_LIMIT)): number {
  if (/^[1-9]\d{0,6}$/.test(text)) return Number(text);
  throw new UsageError(`--limit: "${text}" is not a number from 1 to 9999999`);
}

function clientOf({ state }: CallValues): ApiClient {
  return new ApiClient(findAccess(state, process.env));
}

/** A call, from the box that knows it. @throws CommandFailure when none does, or the call is of another environment */
async function findCall(client: ApiClient, values: CallValues, id: string): Promise<ApiCall> {
  const environment = await knownEnvironment(client, values.env);
  // Of a box that the user named, the gateway says whether the box or its call is unknown.
  const ask = async (box: string) =>
    values.box === undefined
      ? await client.find(INSPECT_CALL, { path: { box, id } })
      : await client.call(INSPECT_CALL, { path: { box, id } });
  for await (const call of boxAnswers(client, values.box, ask)) {
    if (call !== undefined && isOf(call, environment)) return call;
  }
  const where = environment === undefined ? "" : ` in environment ${environment}`;
  throw new CommandFailure(
    values.box === undefined
      ? `no box that is connected knows the call ${id}${where}`
      : `${values.box} has no call ${id}${where}`,
  );
}

/** Whether a call is of an environment; each is where none is named. */
function isOf({ endpoint }: ApiCall, environment: string | undefined): boolean {
  return environment === undefined || endpoint.startsWith(`${environment}/`);
}

function seconds(milliseconds: number): string {
  return `${(milliseconds / 1000).toFixed(3)} s`;
}
