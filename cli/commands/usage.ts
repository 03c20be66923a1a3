/** `postern usage`: who used what, by token, endpoint and day. */

import { LIST_PROXY_TOKENS } from "../../api/proxy-tokens.ts";
import { LIST_USAGE } from "../../api/usage.ts";
import { ACCESS_NOTE, findAccess, STATE_OPTION } from "../access.ts";
import { ApiClient } from "../client.ts";
import type { Command } from "../command.ts";
import { durationMs } from "../duration.ts";
import { knownEnvironment } from "../environment.ts";
import { UsageError } from "../failure.ts";
import { printJson, printResult } from "../output.ts";
import { tableOf } from "../table.ts";

const DEFAULT_SINCE = "7d";

/** Of requests that were refused before their token was read. */
const UNKNOWN_TOKEN = "-";

const OPTIONS = {
  since: {
    type: "string",
    value: "DAY|TIME",
    summary: `from this day on, 2026-11-29, or from 30d ago (${DEFAULT_SINCE})`,
  },
  token: { type: "string", value: "ID", summary: "of this token alone" },
  ...STATE_OPTION,
} as const;

export const USAGE: Command<typeof OPTIONS> = {
  description: {
    name: "usage",
    summary: "Lists what proxy tokens used, and what was refused, of each day, by UTC.",
    positionals: [],
    options: OPTIONS,
    notes: [
      "Requests without a proxy token are in no row, but for those that a limit refused: token -.",
      "Days are kept for 90 days.",
      "With --env, the use of this environment's endpoints alone.",
      ACCESS_NOTE,
    ],
  },
  async run({ values }) {
    const since = dayIn(values.since ?? DEFAULT_SINCE, Date.now());
    const client = new ApiClient(findAccess(values.state, process.env));
    const environment = await knownEnvironment(client, values.env);
    const query = { since, ...(values.token !== undefined && { token: values.token }) };
    const listed = await client.list(LIST_USAGE, { query });
    const used = listed.filter(
      ({ endpoint }) => environment === undefined || endpoint.startsWith(`${environment}/`),
    );
    if (values.json === true) {
      printJson(used);
      return 0;
    }
    const tokens = await client.list(LIST_PROXY_TOKENS, {});
    const names = new Map(tokens.map(({ id, name }) => [id, name]));
    const rows = used.map((row) => [
      row.day,
      row.token,
      names.get(row.token) ?? (row.token === UNKNOWN_TOKEN ? "" : "(revoked)"),
      row.endpoint,
      String(row.requests),
      row.container_seconds.toFixed(1),
      String(row.refused),
    ]);
    const headings = [
      "DAY",
      "TOKEN",
      "NAME",
      "ENDPOINT",
      "REQUESTS",
      "CONTAINER-SECONDS",
      "REFUSED",
    ];
    for (const line of tableOf(headings, rows)) printResult(line);
    return 0;
  },
};

/** The day of a date, or of a moment that long ago. @throws {UsageError} */
function dayIn(text: string, now: number): string {
  const ago = durationMs(text);
  const moment = ago === undefined ? Date.parse(`${text}T00:00:00Z`) : now - ago;
  const isMeant = ago !== undefined || /^\d{4}-\d\d-\d\d$/.test(text);
  if (!isMeant || !(moment >= 0)) {
    throw new UsageError(
      `--since: "${text}" is neither a day, e.g. 2026-11-29, nor a time, e.g. 30d`,
    );
  }
  return new Date(moment).toISOString().slice(0, "2026-11-29".length);
}
