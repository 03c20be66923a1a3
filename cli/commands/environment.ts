/** `postern environment`: the parts of a workspace that keep apps and secrets apart. */

import {
  type ApiEnvironment,
  CREATE_ENVIRONMENT,
  DELETE_ENVIRONMENT,
  GET_ENVIRONMENT,
  LIST_ENVIRONMENTS,
  UPDATE_ENVIRONMENT,
} from "../../api/environments.ts";
import { ACCESS_NOTE, findAccess, STATE_OPTION } from "../access.ts";
import { ApiClient } from "../client.ts";
import type { Command, CommandGroup } from "../command.ts";
import { confirm, YES_OPTION } from "../confirm.ts";
import { UsageError } from "../failure.ts";
import { printJson, printNotice, printResult } from "../output.ts";
import { tableOf } from "../table.ts";

const ALL_OF_WORKSPACE = "the command lists every environment of the workspace";
const NAMED_BY_ARGUMENT = "the environment is the command's argument";

const LIST: Command<typeof STATE_OPTION> = {
  description: {
    name: "environment list",
    summary: "Lists the workspace's environments, newest first.",
    positionals: [],
    options: STATE_OPTION,
    noEnvironment: ALL_OF_WORKSPACE,
    notes: [ACCESS_NOTE],
  },
  async run({ values }) {
    const client = new ApiClient(findAccess(values.state, process.env));
    const environments = await client.list(LIST_ENVIRONMENTS, {});
    if (values.json === true) {
      printJson(environments);
      return 0;
    }
    const rows = environments.map((environment) => [
      environment.name,
      environment.web_suffix,
      environment.created_at,
      environment.created_by,
    ]);
    const headings = ["NAME", "WEB SUFFIX", "CREATED", "CREATED BY"];
    for (const line of tableOf(headings, rows)) printResult(line);
    return 0;
  },
};

const CREATE: Command<typeof STATE_OPTION> = {
  description: {
    name: "environment create",
    summary: "Makes an environment; its name, normalised, is its web suffix.",
    positionals: ["NAME"],
    options: STATE_OPTION,
    noEnvironment: NAMED_BY_ARGUMENT,
    notes: [ACCESS_NOTE],
  },
  async run({ values, positionals: [name = ""] }) {
    const client = new ApiClient(findAccess(values.state, process.env));
    const environment = await client.call(CREATE_ENVIRONMENT, { body: { name } });
    if (values.json === true) printJson(environment);
    else printNotice(`environment ${name} is there, with ${suffixShown(environment)}`);
    return 0;
  },
};

const UPDATE_OPTIONS = {
  "set-name": { type: "string", value: "NAME", summary: "another name; while no app lives in it" },
  "set-web-suffix": {
    type: "string",
    value: "SUFFIX",
    summary: 'what follows the workspace in URLs; "" for nothing',
  },
  ...STATE_OPTION,
} as const;

const UPDATE: Command<typeof UPDATE_OPTIONS> = {
  description: {
    name: "environment update",
    summary: "Changes an environment's name or web suffix.",
    positionals: ["NAME"],
    options: UPDATE_OPTIONS,
    noEnvironment: NAMED_BY_ARGUMENT,
    notes: [
      "A new web suffix shows in an app's URLs when the app is deployed or started next.",
      ACCESS_NOTE,
    ],
  },
  async run({ values, positionals: [name = ""] }) {
    const { "set-name": newName, "set-web-suffix": webSuffix } = values;
    if (newName === undefined && webSuffix === undefined) {
      throw new UsageError("environment update: what? say --set-name or --set-web-suffix");
    }
    const client = new ApiClient(findAccess(values.state, process.env));
    const environment = await client.call(UPDATE_ENVIRONMENT, {
      path: { environment: name },
      body: { name: newName, web_suffix: webSuffix },
    });
    if (values.json === true) printJson(environment);
    else printNotice(`environment ${environment.name} has ${suffixShown(environment)}`);
    return 0;
  },
};

const DELETE_OPTIONS = { ...YES_OPTION, ...STATE_OPTION } as const;

const DELETE: Command<typeof DELETE_OPTIONS> = {
  description: {
    name: "environment delete",
    summary: "Stops an environment's apps and forgets it with its secrets, for good.",
    positionals: ["NAME"],
    options: DELETE_OPTIONS,
    noEnvironment: NAMED_BY_ARGUMENT,
    notes: [ACCESS_NOTE],
  },
  async run({ values, positionals: [name = ""] }) {
    const client = new ApiClient(findAccess(values.state, process.env));
    // A mistyped name is refused, and not called deleted.
    const path = { environment: name };
    await client.call(GET_ENVIRONMENT, { path });
    await confirm(`delete environment ${name}, with its apps and secrets`, values.yes);
    await client.call(DELETE_ENVIRONMENT, { path });
    if (values.json === true) printJson({ name, deleted: true });
    else printNotice(`environment ${name} is deleted`);
    return 0;
  },
};

export const ENVIRONMENT: CommandGroup = {
  name: "environment",
  summary: "Manages the environments of the workspace.",
  commands: { list: LIST, create: CREATE, update: UPDATE, delete: DELETE },
};

function suffixShown({ web_suffix: suffix }: ApiEnvironment): string {
  return suffix === "" ? "no web suffix" : `web suffix ${suffix}`;
}
