/** `postern secret`: named environment variables for containers. Prints no value, whatever goes wrong. */

import { DELETE_SECRET, LIST_SECRETS, PUT_SECRET } from "../../api/secrets.ts";
import { readFileSync } from "node:fs";
import { ACCESS_NOTE, findAccess, STATE_OPTION } from "../access.ts";
import { ApiClient } from "../client.ts";
import type { Command, CommandGroup } from "../command.ts";
import { chooseEnvironment } from "../environment.ts";
import { CommandFailure, reasonOf, UsageError } from "../failure.ts";
import { printJson, printNotice, printResult } from "../output.ts";
import { SecretInput } from "../secret-input.ts";
import { dotenvVariables, pairsOf } from "../secret-variables.ts";
import { tableOf } from "../table.ts";

const CREATE_OPTIONS = {
  "from-dotenv": { type: "string", value: "FILE", summary: "take the variables of a dotenv file" },
  force: { type: "boolean", summary: "replace a secret of this name" },
  ...STATE_OPTION,
} as const;

const CREATE: Command<typeof CREATE_OPTIONS> = {
  description: {
    name: "secret create",
    summary: "Makes a secret of an environment; its values are never shown again.",
    positionals: ["NAME", "[K=V…]"],
    options: CREATE_OPTIONS,
    notes: [
      "K=- reads the value from stdin, a line each. K=V wins over the file.",
      'An endpoint takes it by secrets = ["NAME"] in postern.toml.',
      ACCESS_NOTE,
    ],
  },
  async run({ values, positionals: [name = "", ...pairs] }) {
    const given = pairsOf(pairs);
    const file = values["from-dotenv"];
    if (given.size === 0 && file === undefined) {
      throw new UsageError("secret create: no variables; say KEY=VALUE or --from-dotenv FILE");
    }
    const client = new ApiClient(findAccess(values.state, process.env));
    const environment = await chooseEnvironment(client, values.env, process.env);
    const variables = new Map(file === undefined ? [] : dotenvVariables(readText(file), file));
    for (const [key, value] of await readFromStdin(given)) variables.set(key, value);
    const secret = await client.call(PUT_SECRET, {
      path: { name },
      query: { environment, replace: values.force === true ? "true" : "false" },
      body: { variables: Object.fromEntries(variables) },
    });
    if (values.json === true) printJson({ ...secret, environment });
    else printNotice(`secret ${name} of ${environment} has ${secret.variables.join(", ")}`);
    return 0;
  },
};

const LIST: Command<typeof STATE_OPTION> = {
  description: {
    name: "secret list",
    summary: "Lists an environment's secrets and their variables' names, newest first.",
    positionals: [],
    options: STATE_OPTION,
    notes: [ACCESS_NOTE],
  },
  async run({ values }) {
    const client = new ApiClient(findAccess(values.state, process.env));
    const environment = await chooseEnvironment(client, values.env, process.env);
    const secrets = await client.list(LIST_SECRETS, { query: { environment } });
    if (values.json === true) {
      printJson(secrets);
      return 0;
    }
    const rows = secrets.map((secret) => [
      secret.name,
      secret.variables.join(","),
      secret.updated_at,
      secret.updated_by,
      secret.readable ? "yes" : "no: set it again",
    ]);
    const headings = ["NAME", "VARIABLES", "UPDATED", "UPDATED BY", "READABLE"];
    for (const line of tableOf(headings, rows)) printResult(line);
    return 0;
  },
};

const DELETE: Command<typeof STATE_OPTION> = {
  description: {
    name: "secret delete",
    summary: "Forgets a secret; containers that run keep what they were started with.",
    positionals: ["NAME"],
    options: STATE_OPTION,
    notes: [ACCESS_NOTE],
  },
  async run({ values, positionals: [name = ""] }) {
    const client = new ApiClient(findAccess(values.state, process.env));
    const environment = await chooseEnvironment(client, values.env, process.env);
    const secrets = await client.list(LIST_SECRETS, { query: { environment } });
    if (!secrets.some((secret) => secret.name === name)) {
      throw new CommandFailure(`there is no secret ${name} in ${environment}`);
    }
    await client.call(DELETE_SECRET, { path: { name }, query: { environment } });
    if (values.json === true) printJson({ name, environment, deleted: true });
    else printNotice(`${environment} has no secret ${name} any more`);
    return 0;
  },
};

export const SECRET: CommandGroup = {
  name: "secret",
  summary: "Manages secrets: variables that containers get and nobody reads again.",
  commands: { create: CREATE, list: LIST, delete: DELETE },
};

/** A file's text. */
function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    throw new CommandFailure(`--from-dotenv ${path}: ${reasonOf(error)}`);
  }
}

/** The variables, with a line of stdin for each that is `-`. */
async function readFromStdin(given: ReadonlyMap<string, string>): Promise<Map<string, string>> {
  const input = new SecretInput();
  const variables = new Map(given);
  try {
    for (const [key, value] of given) {
      if (value === "-") variables.set(key, await input.line(key));
    }
  } finally {
    input.close();
  }
  return variables;
}
