/** `postern config`: what the commands of this person go by, and what an app's file comes to. */

import { isObjectName } from "../../routing/names.ts";
import { explainApp } from "../../origin-gpu/config/config.ts";
import { findAccess, STATE_OPTION } from "../access.ts";
import { readApp } from "../app-config.ts";
import type { Command, CommandGroup } from "../command.ts";
import { namedEnvironment } from "../environment.ts";
import { CommandFailure, UsageError } from "../failure.ts";
import { printJson, printNotice, printResult } from "../output.ts";
import { Profiles } from "../profiles.ts";
import { tableOf } from "../table.ts";

const SHOW_OPTIONS = {
  "no-redact": { type: "boolean", summary: "show the token's secret" },
  ...STATE_OPTION,
} as const;

const SHOW: Command<typeof SHOW_OPTIONS> = {
  description: {
    name: "config show",
    summary: "Prints the values in use as JSON, the token's secret left out.",
    positionals: [],
    options: SHOW_OPTIONS,
  },
  async run({ values }) {
    const profiles = Profiles.ofUser(process.env);
    const name = profiles.activeName(process.env);
    const profile = name === undefined ? undefined : profiles.get(name);
    const shown = {
      config_path: profiles.path,
      profile: name ?? null,
      environment: namedEnvironment(values.env, process.env) ?? profile?.environment ?? null,
      ...accessShown(values.state, values["no-redact"] === true),
    };
    if (values.json === true) printJson(shown);
    else printResult(JSON.stringify(shown, undefined, 2));
    return 0;
  },
};

const SET_ENVIRONMENT: Command = {
  description: {
    name: "config set-environment",
    summary: "Sets the active profile's environment, for commands without --env.",
    positionals: ["NAME"],
    options: {},
    noEnvironment: "the environment is the command's argument",
  },
  async run({ values, positionals: [environment = ""] }) {
    if (!isObjectName(environment)) {
      const right = '1 to 64 ASCII letters, digits, "-", "." and "_"';
      throw new UsageError(`"${environment}" is not an environment's name: ${right}`);
    }
    const profiles = Profiles.ofUser(process.env);
    const name = profiles.activeName(process.env);
    if (name === undefined) {
      throw new CommandFailure(`no profile is active in ${profiles.path}; run postern token set`);
    }
    profiles.update(name, { environment });
    profiles.write();
    if (values.json === true) printJson({ profile: name, environment });
    else printNotice(`the environment of profile ${name} is ${environment}`);
    return 0;
  },
};

const EXPLAIN: Command = {
  description: {
    name: "config explain",
    summary: "Prints every setting of an app as it holds, and where it comes from.",
    positionals: ["[postern.toml | app.py]"],
    options: {},
    noEnvironment: "the file is explained as it stands",
    notes: ["Settings of postern app scale are not in the file; postern app list shows them."],
  },
  async run({ values, positionals: [file = "postern.toml"] }) {
    const { document } = await readApp(file, {});
    const { app, endpoints } = explainApp(document);
    if (values.json === true) {
      printJson({ app, endpoints });
      return 0;
    }
    const parts = [
      { title: "the app", settings: app },
      ...endpoints.map(({ function: name, settings }) => ({ title: `endpoint ${name}`, settings })),
    ];
    for (const [index, { title, settings }] of parts.entries()) {
      if (index > 0) printResult("");
      printResult(`# ${title}`);
      const rows = Object.entries(settings).map(([key, { value, from, note }]) => {
        // Values come last: a list of paths is longer than a line.
        return [key, from, value === null ? (note ?? "none") : JSON.stringify(value)];
      });
      for (const line of tableOf(["KEY", "FROM", "VALUE"], rows)) printResult(line);
    }
    return 0;
  },
};

export const CONFIG: CommandGroup = {
  name: "config",
  summary: "Shows the settings of commands and of apps, and sets the environment of commands.",
  commands: { show: SHOW, explain: EXPLAIN, "set-environment": SET_ENVIRONMENT },
};

/** Gateway and token in use; nulls where there is none yet, which is no failure of showing. */
function accessShown(state: string | undefined, unredacted: boolean): Record<string, unknown> {
  try {
    const { url, tokenId, tokenSecret, source } = findAccess(state, process.env);
    const shownSecret = unredacted ? tokenSecret : "***";
    return { url, token_id: tokenId, token_secret: shownSecret, source };
  } catch (error) {
    if (!(error instanceof CommandFailure) || error instanceof UsageError) throw error;
    return { url: null, token_id: null, token_secret: null, source: null };
  }
}
