/** `postern proxy-token`: the tokens that open a workspace's private endpoints. */

import {
  CREATE_PROXY_TOKEN,
  LIST_PROXY_TOKENS,
  REVOKE_PROXY_TOKEN,
  UPDATE_PROXY_TOKEN,
} from "../../api/proxy-tokens.ts";
import { ACCESS_NOTE, findAccess, STATE_OPTION } from "../access.ts";
import { budgetText } from "../budget.ts";
import { ApiClient } from "../client.ts";
import type { Command, CommandGroup } from "../command.ts";
import { knownEnvironment } from "../environment.ts";
import { EXPIRES_OPTION, secondsUntilExpiry } from "../expires.ts";
import { UsageError } from "../failure.ts";
import { printJson, printNotice, printResult } from "../output.ts";
import { tableOf } from "../table.ts";
import { LIMIT_OPTIONS, limitsIn } from "../token-limits.ts";

const CREATE_OPTIONS = {
  name: { type: "string", value: "NAME", summary: "what it is for" },
  ...EXPIRES_OPTION,
  app: { type: "string", value: "APP,...", summary: "open these apps' endpoints alone" },
  path: { type: "string", value: "PATH,...", summary: "open these paths alone, such as '/v1/*'" },
  ...LIMIT_OPTIONS,
  ...STATE_OPTION,
} as const;

const CREATE: Command<typeof CREATE_OPTIONS> = {
  description: {
    name: "proxy-token create",
    summary: "Makes a token; prints its id and its secret, this once.",
    positionals: [],
    options: CREATE_OPTIONS,
    notes: ["--env, --app and --path restrict it; several names with commas between.", ACCESS_NOTE],
  },
  async run({ values }) {
    const body = {
      ...(values.name === undefined ? {} : { name: values.name }),
      environments: namesIn(values.env),
      apps: namesIn(values.app),
      paths: namesIn(values.path),
      ...limitsIn(values),
      expires_in: secondsUntilExpiry(values.expires),
    };
    const client = new ApiClient(findAccess(values.state, process.env));
    const token = await client.call(CREATE_PROXY_TOKEN, { body });
    if (values.json === true) {
      printJson(token);
      return 0;
    }
    printResult(token.id);
    printResult(token.secret);
    printNotice(
      "shown this once; send them as Modal-Key and Modal-Secret, or as Authorization: Bearer <id>.<secret>",
    );
    return 0;
  },
};

const LIST: Command<typeof STATE_OPTION> = {
  description: {
    name: "proxy-token list",
    summary: "Lists the workspace's tokens, newest first.",
    positionals: [],
    options: STATE_OPTION,
    notes: ["With --env, the tokens that open this environment's endpoints alone.", ACCESS_NOTE],
  },
  async run({ values }) {
    const client = new ApiClient(findAccess(values.state, process.env));
    const environment = await knownEnvironment(client, values.env);
    const listed = await client.list(LIST_PROXY_TOKENS, {});
    const tokens = listed.filter(
      ({ environments }) =>
        environment === undefined ||
        environments.length === 0 ||
        environments.includes(environment),
    );
    if (values.json === true) {
      printJson(tokens);
      return 0;
    }
    const rows = tokens.map((token) => [
      token.id,
      token.name,
      token.environments.join(",") || "all",
      token.apps.join(",") || "all",
      token.paths.join(",") || "all",
      token.rate_limit ?? "none",
      budgetText(token),
      token.concurrent === null ? "any" : String(token.concurrent),
      token.priority,
      token.created_at,
      token.expires_at ?? "never",
      token.last_used_at ?? "never",
    ]);
    const headings = [
      "ID",
      "NAME",
      "ENVIRONMENTS",
      "APPS",
      "PATHS",
      "RATE LIMIT",
      "BUDGET",
      "CONCURRENT",
      "PRIORITY",
      "CREATED",
      "EXPIRES",
      "LAST USED",
    ];
    for (const line of tableOf(headings, rows)) printResult(line);
    return 0;
  },
};

const UPDATE_OPTIONS = { ...LIMIT_OPTIONS, ...STATE_OPTION } as const;

const UPDATE: Command<typeof UPDATE_OPTIONS> = {
  description: {
    name: "proxy-token update",
    summary: "Changes a token's limits, everywhere within 5 s.",
    positionals: ["ID"],
    options: UPDATE_OPTIONS,
    noEnvironment: "the id names one token of the whole workspace",
    notes: [
      "Limits that are not named stay; none takes one away. A budget replaces the whole budget.",
      ACCESS_NOTE,
    ],
  },
  async run({ values, positionals: [id = ""] }) {
    const body = limitsIn(values);
    if (Object.keys(body).length === 0) {
      throw new UsageError("proxy-token update: what? say --budget, or another limit");
    }
    const client = new ApiClient(findAccess(values.state, process.env));
    const token = await client.call(UPDATE_PROXY_TOKEN, { path: { id }, body });
    if (values.json === true) printJson(token);
    else printNotice(`${id} has its new limits`);
    return 0;
  },
};

const REVOKE: Command<typeof STATE_OPTION> = {
  description: {
    name: "proxy-token revoke",
    summary: "Revokes a token, everywhere within 5 s.",
    positionals: ["ID"],
    options: STATE_OPTION,
    noEnvironment: "the id names one token of the whole workspace",
    notes: [ACCESS_NOTE],
  },
  async run({ values, positionals: [id = ""] }) {
    const client = new ApiClient(findAccess(values.state, process.env));
    await client.call(REVOKE_PROXY_TOKEN, { path: { id } });
    if (values.json === true) printJson({ id, revoked: true });
    else printNotice(`${id} is revoked`);
    return 0;
  },
};

export const PROXY_TOKEN: CommandGroup = {
  name: "proxy-token",
  summary: "Manages the tokens that open private endpoints.",
  commands: { create: CREATE, list: LIST, update: UPDATE, revoke: REVOKE },
};

/** Names with commas between. */
function namesIn(text: string | undefined): string[] {
  return text === undefined ? [] : text.split(",").map((name) => name.trim());
}
