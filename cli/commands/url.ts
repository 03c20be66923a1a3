/** `postern url`: the URL that an app's function has, whether it runs or not. */

import { existsSync } from "node:fs";
import { endpointUrl, webSuffixOf, type EndpointIdentity } from "../../routing/names.ts";
import { readConfig } from "../app-config.ts";
import type { Command } from "../command.ts";
import { Failure, UsageError } from "../failure.ts";
import { findGateway } from "../gateway/nearby.ts";
import { DEFAULT_STATE } from "../gateway/settings.ts";
import { printJson, printResult } from "../output.ts";

const DEFAULT_CONFIG = "postern.toml";
const DEFAULT_WORKSPACE = "local";
const DEFAULT_ENVIRONMENT = "main";

const OPTIONS = {
  config: {
    type: "string",
    value: "FILE",
    summary: `where the app's workspace and labels stand (${DEFAULT_CONFIG}, where there is one)`,
  },
  state: {
    type: "string",
    value: "DIRECTORY",
    summary: `the state directory of the gateway on this machine (${DEFAULT_STATE})`,
  },
} as const;

export const URL_COMMAND: Command<typeof OPTIONS> = {
  description: {
    name: "url",
    summary: "Prints the URL of an app's function.",
    positionals: ["APP", "FUNCTION"],
    options: OPTIONS,
    notes: ["The gateway is POSTERN_URL, or the one that runs on --state."],
  },
  async run({ values, positionals: [app = "", functionName = ""] }) {
    const gateway = new URL(findGateway(values.state ?? DEFAULT_STATE, process.env).url);
    const identity = await identityOf(app, functionName, values);
    const scheme = gateway.protocol === "https:" ? "https" : "http";
    const url = await endpointUrl(identity, gateway.host, scheme);
    if (!url.ok) throw new UsageError(url.reason);
    if (values.json === true) printJson({ app, function: functionName, url: url.value });
    else printResult(url.value);
    return 0;
  },
};

/** The endpoint as its app's postern.toml describes it, where that is at hand. */
async function identityOf(
  app: string,
  functionName: string,
  values: { readonly config?: string; readonly env?: string },
): Promise<EndpointIdentity> {
  const file = values.config ?? (existsSync(DEFAULT_CONFIG) ? DEFAULT_CONFIG : undefined);
  const config = file === undefined ? undefined : await readConfig(file, values.env);
  const environment = values.env ?? config?.environment ?? DEFAULT_ENVIRONMENT;
  const identity = {
    workspace: config?.workspace ?? DEFAULT_WORKSPACE,
    suffix: webSuffixOf(environment),
    app,
    function: functionName,
  };
  if (config?.app !== app) return identity;
  const endpoint = config.endpoints.find((candidate) => candidate.function === functionName);
  if (endpoint === undefined) {
    const known = config.endpoints.map((candidate) => candidate.function).join(", ");
    throw new Failure(`${app} has no function ${functionName}; ${config.file} has ${known}`);
  }
  return { ...identity, label: endpoint.label };
}
