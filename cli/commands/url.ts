/** `postern url`: the URL that an app's function has, whether it runs or not. */

import { GET_ENVIRONMENT } from "../../api/environments.ts";
import { GET_APP } from "../../api/apps.ts";
import { existsSync } from "node:fs";
import { workspaceOfApiToken } from "../../auth/tokens.ts";
import type { AppConfig } from "../../origin-gpu/config/config.ts";
import { endpointUrl, webSuffixOf } from "../../routing/names.ts";
import { findAccess, type Access } from "../access.ts";
import { readConfig } from "../app-config.ts";
import { ApiClient } from "../client.ts";
import type { Command } from "../command.ts";
import { chooseEnvironment } from "../environment.ts";
import { CommandFailure, UsageError } from "../failure.ts";
import { findGateway } from "../gateway/nearby.ts";
import { DEFAULT_STATE } from "../gateway/settings.ts";
import { printJson, printNotice, printResult } from "../output.ts";

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
    notes: [
      "The gateway is POSTERN_URL, or the one that runs on --state.",
      "With a token at hand the gateway is asked; without one the URL follows from the names' rules.",
    ],
  },
  async run({ values, positionals: [app = "", functionName = ""] }) {
    const file = values.config ?? (existsSync(DEFAULT_CONFIG) ? DEFAULT_CONFIG : undefined);
    const read = file === undefined ? undefined : await readConfig(file, values.env);
    const asked = { app, functionName, environment: values.env, config: read };
    const access = accessAtHand(values.state);
    const isHere =
      access !== undefined &&
      (read?.workspace ?? workspaceOfApiToken(access.tokenId)) ===
        workspaceOfApiToken(access.tokenId);
    const url = isHere ? await urlAtGateway(asked, access) : await urlByRules(asked, values.state);
    if (values.json === true) printJson({ app, function: functionName, url });
    else printResult(url);
    return 0;
  },
};

interface UrlRequest {
  readonly app: string;
  readonly functionName: string;
  readonly environment: string | undefined;
  /** The postern.toml at hand, whichever app it describes. */
  readonly config: AppConfig | undefined;
}

/** The URL that the gateway has for a served app's function; else by the rules, with the environment's own suffix. */
async function urlAtGateway(asked: UrlRequest, access: Access): Promise<string> {
  const { app, functionName, config } = asked;
  const client = new ApiClient(access);
  const said = asked.environment ?? (config?.app === app ? config.environment : undefined);
  const environment = await chooseEnvironment(client, said, process.env);
  const served = await client.find(GET_APP, { path: { app }, query: { environment } });
  const endpoint = served?.endpoints.find((candidate) => candidate.function === functionName);
  // Ephemeral names go with their box; the app's own is what is asked for.
  if (endpoint !== undefined && served?.state !== "ephemeral") return endpoint.url;
  // Where the postern.toml at hand describes the app, the function may be deployed next. Else it is mistyped.
  if (config?.app !== app && ["deployed", "in_place"].includes(served?.state ?? "")) {
    throw noFunction(app, functionName, `it has ${functionsOf(served?.endpoints)}`);
  }
  const { web_suffix: suffix } = await client.call(GET_ENVIRONMENT, { path: { environment } });
  const workspace = workspaceOfApiToken(access.tokenId) ?? DEFAULT_WORKSPACE;
  const url = await built({ ...asked, workspace, suffix }, access.url);
  if (served !== undefined && served.state !== "stopped") return url;
  const what = served === undefined ? "there is no app" : "nothing serves the stopped app";
  const wouldBe = `${what} ${app} in environment ${environment}; deployed, it would be at`;
  // A script must not go on with the URL of a mistyped app. One whose file is at hand is deployed next.
  if (served === undefined && config?.app !== app) throw new CommandFailure(`${wouldBe} ${url}`);
  printNotice(`${wouldBe} this URL`);
  return url;
}

/** The URL that the rules give, where nobody can be asked. */
async function urlByRules(asked: UrlRequest, state: string | undefined): Promise<string> {
  const { environment, config } = asked;
  const chosen = environment ?? config?.environment ?? DEFAULT_ENVIRONMENT;
  const workspace = config?.workspace ?? DEFAULT_WORKSPACE;
  const gateway = findGateway(state ?? DEFAULT_STATE, process.env).url;
  return await built({ ...asked, workspace, suffix: webSuffixOf(chosen) }, gateway);
}

async function built(
  asked: UrlRequest & { readonly workspace: string; readonly suffix: string },
  gatewayUrl: string,
): Promise<string> {
  const { workspace, suffix, app, functionName } = asked;
  const { host, protocol } = new URL(gatewayUrl);
  const identity = { workspace, suffix, app, function: functionName, label: labelOf(asked) };
  const url = await endpointUrl(identity, host, protocol === "https:" ? "https" : "http");
  if (!url.ok) throw new UsageError(url.error);
  return url.value;
}

/** The label that the app's postern.toml gives the function, where that is at hand. */
function labelOf({ app, functionName, config }: UrlRequest): string | undefined {
  if (config?.app !== app) return undefined;
  const endpoint = config.endpoints.find((candidate) => candidate.function === functionName);
  if (endpoint !== undefined) return endpoint.label;
  throw noFunction(app, functionName, `${config.file} has ${functionsOf(config.endpoints)}`);
}

function noFunction(app: string, functionName: string, known: string): CommandFailure {
  return new CommandFailure(`${app} has no function ${functionName}; ${known}`);
}

function functionsOf(endpoints: readonly { readonly function: string }[] = []): string {
  return endpoints.map((endpoint) => endpoint.function).join(", ");
}

/** Gateway and token, where both are at hand; without a token the rules have to do. */
function accessAtHand(state: string | undefined): Access | undefined {
  try {
    return findAccess(state, process.env);
  } catch (error) {
    if (error instanceof CommandFailure && !(error instanceof UsageError)) return undefined;
    throw error;
  }
}
