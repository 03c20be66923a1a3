/** `postern proxy-token`: the tokens that open a workspace's private endpoints. */

import {
  CREATE_PROXY_TOKEN,
  LIST_PROXY_TOKENS,
  REVOKE_PROXY_TOKEN,
} from "../../api/proxy-tokens.ts";
import { ACCESS_NOTE, findAccess, STATE_OPTION } from "../access.ts";
import { type BudgetFields, budgetIn, budgetText } from "../budget.ts";
import { ApiClient } from "../client.ts";
import type { Command, CommandGroup } from "../command.ts";
import { knownEnvironment } from "../environment.ts";
import { EXPIRES_OPTION, secondsUntilExpiry } from "../expires.ts";
import { isRate } from "../../routing/wire/rate.ts";
import { UsageError } from "../failure.ts";
import { printJson, printNotice, printResult } from "../output.ts";
import { tableOf } from "../table.ts";

const CREATE_OPTIONS = {
  name: { type: "string", value: "NAME", summary: "what it is for" },
  ...EXPIRES_OPTION,
  app: { type: "string", value: "APP,...", summary: "open these apps' endpoints alone" },
  path: { type: "string", value: "PATH,...", summary: "open these paths alone, such as '/v1/*'" },
  "rate-limit": {
    type: "string",
    value: "N/S",
    summary: "N requests a second, and S seconds of burst (none)",
  },
  budget: {
    type: "string",
    value: "Nreq/day,Ns/day",
    summary: "requests, and seconds of containers, a day by UTC; one or both (none)",
  },
  concurrent: {
    type: "string",
    value: "N",
    summary: "N of its calls at a time on each box, those that wait included (any)",
  },
  priority: {
    type: "string",
    value: "interactive|batch",
    summary: "batch: its calls wait for those of other tokens (interactive)",
  },
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
  commands: { create: CREATE, list: LIST, revoke: REVOKE },
};

/** A token's limits, as the API names them. */
interface LimitFields extends BudgetFields {
  rate_limit?: string;
  concurrent?: number;
  priority?: "interactive" | "batch";
}

/** @throws {UsageError} for a limit that can't be meant */
function limitsIn(values: {
  readonly "rate-limit"?: string | undefined;
  readonly budget?: string | undefined;
  readonly concurrent?: string | undefined;
  readonly priority?: string | undefined;
}): LimitFields {
  const { "rate-limit": rate, budget, concurrent, priority } = values;
  if (rate !== undefined && !isRate(rate)) {
    throw new UsageError(
      `--rate-limit: "${rate}" is not requests a second and seconds of burst, e.g. 5/10`,
    );
  }
  if (concurrent !== undefined && !/^[1-9]\d{0,5}$/.test(concurrent)) {
    throw new UsageError(`--concurrent: "${concurrent}" is not a number of calls, 1 to 999999`);
  }
  if (priority !== undefined && priority !== "interactive" && priority !== "batch") {
    throw new UsageError(`--priority: "${priority}" is neither interactive nor batch`);
  }
  return {
    ...(rate === undefined ? {} : { rate_limit: rate }),
    ...budgetIn(budget),
    ...(concurrent === undefined ? {} : { concurrent: Number(concurrent) }),
    ...(priority === undefined ? {} : { priority }),
  };
}

/** Names with commas between. */
function namesIn(text: string | undefined): string[] {
  return text === undefined ? [] : text.split(",").map((name) => name.trim());
}
