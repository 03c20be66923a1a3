/** `postern profile`: which gateway and workspace the commands of this person mean. */

import { workspaceOfApiToken } from "../../auth/tokens.ts";
import type { Command, CommandGroup } from "../command.ts";
import { CommandFailure } from "../failure.ts";
import { printJson, printNotice, printResult } from "../output.ts";
import { Profiles } from "../profiles.ts";
import { tableOf } from "../table.ts";

const NO_ENVIRONMENT = "config set-environment sets the environment of the active profile";

const ACTIVATE: Command = {
  description: {
    name: "profile activate",
    summary: "Makes a profile the active one.",
    positionals: ["PROFILE"],
    options: {},
    noEnvironment: NO_ENVIRONMENT,
  },
  async run({ values, positionals: [name = ""] }) {
    const profiles = Profiles.ofUser(process.env);
    profiles.activate(name);
    profiles.write();
    if (values.json === true) printJson({ profile: name });
    else printNotice(`the active profile is ${name}`);
    return 0;
  },
};

const CURRENT: Command = {
  description: {
    name: "profile current",
    summary: "Prints the active profile's name.",
    positionals: [],
    options: {},
    noEnvironment: NO_ENVIRONMENT,
  },
  async run({ values }) {
    const profiles = Profiles.ofUser(process.env);
    const name = profiles.activeName(process.env);
    if (name === undefined) {
      throw new CommandFailure(`no profile is active in ${profiles.path}; run postern token set`);
    }
    if (values.json === true) printJson({ profile: name });
    else printResult(name);
    return 0;
  },
};

const LIST: Command = {
  description: {
    name: "profile list",
    summary: "Lists the profiles; the active one has a star.",
    positionals: [],
    options: {},
    noEnvironment: NO_ENVIRONMENT,
  },
  async run({ values }) {
    const profiles = Profiles.ofUser(process.env);
    const active = profiles.activeName(process.env);
    const shown = profiles.names.map((name) => {
      const { url, token_id: id = "" } = profiles.get(name) ?? {};
      const workspace = workspaceOfApiToken(id);
      return { name, workspace: workspace ?? null, url: url ?? null, active: name === active };
    });
    if (values.json === true) {
      printJson(shown);
      return 0;
    }
    const rows = shown.map(({ name, workspace, url, active: isActive }) => [
      isActive ? "*" : "",
      name,
      workspace ?? "-",
      url ?? "-",
    ]);
    for (const line of tableOf(["", "PROFILE", "WORKSPACE", "URL"], rows)) printResult(line);
    if (process.env["POSTERN_TOKEN_ID"]) {
      printNotice("POSTERN_TOKEN_ID is set and wins over the active profile");
    }
    return 0;
  },
};

export const PROFILE: CommandGroup = {
  name: "profile",
  summary: "Switches between gateways and workspaces.",
  commands: { activate: ACTIVATE, current: CURRENT, list: LIST },
};
