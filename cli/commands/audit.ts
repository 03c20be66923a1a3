/** `postern audit`: who changed what in the workspace. */

import { LIST_AUDIT } from "../../api/audit.ts";
import { ACCESS_NOTE, findAccess, STATE_OPTION } from "../access.ts";
import { ApiClient } from "../client.ts";
import type { Command } from "../command.ts";
import { UsageError } from "../failure.ts";
import { printJson, printResult } from "../output.ts";
import { tableOf } from "../table.ts";

const DEFAULT_LIMIT = 50;

const OPTIONS = {
  limit: { type: "string", value: "N", summary: `the newest N changes (${DEFAULT_LIMIT})` },
  ...STATE_OPTION,
} as const;

export const AUDIT: Command<typeof OPTIONS> = {
  description: {
    name: "audit",
    summary: "Lists who changed what, newest first.",
    positionals: [],
    options: OPTIONS,
    noEnvironment: "the log is the whole workspace's",
    notes: ["A change without a result runs, or broke off.", ACCESS_NOTE],
  },
  async run({ values }) {
    const limit = limitOf(values.limit);
    const client = new ApiClient(findAccess(values.state, process.env));
    const entries = await client.list(LIST_AUDIT, {}, limit);
    if (values.json === true) {
      printJson(entries);
      return 0;
    }
    const rows = entries.map(({ at, by, by_name: name, operation, object, result }) => [
      at,
      by,
      name,
      operation,
      object,
      result ?? "",
    ]);
    const headings = ["TIME", "TOKEN", "NAME", "OPERATION", "OBJECT", "RESULT"];
    for (const line of tableOf(headings, rows)) printResult(line);
    return 0;
  },
};

function limitOf(text: string | undefined): number {
  if (text === undefined) return DEFAULT_LIMIT;
  if (/^[1-9]\d{0,5}$/.test(text)) return Number(text);
  throw new UsageError(`--limit: "${text}" is not a number from 1 to 999999`);
}
