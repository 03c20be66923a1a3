/** `postern config`: what the commands of this person go by. */

import { isObjectName } from "../../routing/names.ts";
import { findAccess, STATE_OPTION } from "../access.ts";
import type { Command, CommandGroup } from "../command.ts";
import { namedEnvironment } from "../environment.ts";
import { CommandFailure, UsageError } from "../failure.ts";
import { printJson, printNotice, printResult } from "../output.ts";
import { Profiles } from "../profiles.ts";

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

export const CONFIG: CommandGroup = {
  name: "config",
  summary: "Shows the settings of commands, and sets their environment.",
  commands: { show: SHOW, "set-environment": SET_ENVIRONMENT },
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
