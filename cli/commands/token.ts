/** `postern token`: the tokens that open the API, and the one that this person uses. */

import {
  CREATE_API_TOKEN,
  GET_WORKSPACE,
  LIST_API_TOKENS,
  REVOKE_API_TOKEN,
} from "../../api/tokens.ts";
import { isScope, SCOPES } from "../../api/scopes.ts";
import { deriveGatewayKeys } from "../../auth/keys.ts";
import { firstApiToken, workspaceOfApiToken } from "../../auth/tokens.ts";
import { isObjectName } from "../../routing/names.ts";
import { ACCESS_NOTE, findAccess, gatewayUrl, originOf, STATE_OPTION } from "../access.ts";
import { ApiClient } from "../client.ts";
import type { Command, CommandGroup } from "../command.ts";
import { EXPIRES_OPTION, secondsUntilExpiry } from "../expires.ts";
import { CommandFailure, UsageError } from "../failure.ts";
import { readRunning } from "../gateway/state-directory.ts";
import { DEFAULT_STATE } from "../gateway/settings.ts";
import { printJson, printNotice, printResult } from "../output.ts";
import { Profiles } from "../profiles.ts";
import { SecretInput } from "../secret-input.ts";
import { tableOf } from "../table.ts";

const OF_WORKSPACE = "an API token opens its whole workspace, not one environment";

const CREATE_OPTIONS = {
  scope: { type: "string", value: "admin|deploy|read", summary: "what it may do (deploy)" },
  name: { type: "string", value: "NAME", summary: "what it is for" },
  ...EXPIRES_OPTION,
  ...STATE_OPTION,
} as const;

const CREATE: Command<typeof CREATE_OPTIONS> = {
  description: {
    name: "token create",
    summary: "Makes an API token; prints its id and its secret, this once.",
    positionals: [],
    options: CREATE_OPTIONS,
    noEnvironment: OF_WORKSPACE,
    notes: [ACCESS_NOTE],
  },
  async run({ values }) {
    const { scope = "deploy", name } = values;
    if (!isScope(scope)) {
      throw new UsageError(`--scope: "${scope}" is not one of ${SCOPES.toReversed().join(", ")}`);
    }
    const body = {
      ...(name === undefined ? {} : { name }),
      scope,
      expires_in: secondsUntilExpiry(values.expires),
    };
    const client = new ApiClient(findAccess(values.state, process.env));
    const token = await client.call(CREATE_API_TOKEN, { body });
    if (values.json === true) {
      printJson(token);
      return 0;
    }
    printResult(token.id);
    printResult(token.secret);
    printNotice("shown this once; postern token set keeps it in a profile");
    return 0;
  },
};

const LIST: Command<typeof STATE_OPTION> = {
  description: {
    name: "token list",
    summary: "Lists the workspace's API tokens, newest first.",
    positionals: [],
    options: STATE_OPTION,
    noEnvironment: OF_WORKSPACE,
    notes: [ACCESS_NOTE],
  },
  async run({ values }) {
    const client = new ApiClient(findAccess(values.state, process.env));
    const tokens = await client.list(LIST_API_TOKENS, {});
    if (values.json === true) {
      printJson(tokens);
      return 0;
    }
    const rows = tokens.map((token) => [
      token.id,
      token.name,
      token.scope,
      token.created_at,
      token.expires_at ?? "never",
      token.last_used_at ?? "never",
    ]);
    const headings = ["ID", "NAME", "SCOPE", "CREATED", "EXPIRES", "LAST USED"];
    for (const line of tableOf(headings, rows)) printResult(line);
    return 0;
  },
};

const REVOKE: Command<typeof STATE_OPTION> = {
  description: {
    name: "token revoke",
    summary: "Revokes an API token, at once.",
    positionals: ["ID"],
    options: STATE_OPTION,
    noEnvironment: OF_WORKSPACE,
    notes: [ACCESS_NOTE],
  },
  async run({ values, positionals: [id = ""] }) {
    const client = new ApiClient(findAccess(values.state, process.env));
    await client.call(REVOKE_API_TOKEN, { path: { id } });
    if (values.json === true) printJson({ id, revoked: true });
    else printNotice(`${id} is revoked`);
    return 0;
  },
};

const SET_OPTIONS = {
  "token-id": { type: "string", value: "ID", summary: "the token's id; - reads it from stdin" },
  "token-secret": {
    type: "string",
    value: "SECRET",
    summary: "the token's secret; - reads it from stdin",
  },
  "first-token": {
    type: "string",
    value: "WORKSPACE",
    summary: "instead of both: the workspace's first token, by the key in POSTERN_KEY or stdin",
  },
  url: { type: "string", value: "URL", summary: "the gateway (POSTERN_URL, or the profile's)" },
  profile: {
    type: "string",
    value: "NAME",
    summary: "the profile to write (POSTERN_PROFILE, or the workspace's name)",
  },
  "no-activate": { type: "boolean", summary: "leave the active profile as it is" },
  verify: { type: "boolean", summary: "ask the gateway first (it does)" },
  "no-verify": { type: "boolean", summary: "write it without asking the gateway" },
} as const;

const SET: Command<typeof SET_OPTIONS> = {
  description: {
    name: "token set",
    summary: "Keeps an API token in a profile of ~/.postern.toml.",
    positionals: [],
    options: SET_OPTIONS,
    noEnvironment: `${OF_WORKSPACE}; config set-environment sets a profile's`,
    notes: ["What is not given is asked for, or read from stdin, a line each."],
  },
  async run({ values }) {
    const profiles = Profiles.ofUser(process.env);
    const { tokenId, tokenSecret } = await chosenToken(values);
    const workspace = workspaceOfApiToken(tokenId);
    if (workspace === undefined)
      throw new CommandFailure(`"${tokenId}" is not an API token's id (ak-…)`);
    const name = values.profile ?? (process.env["POSTERN_PROFILE"] || workspace);
    if (!isObjectName(name)) throw new UsageError(`--profile: "${name}" is not a profile's name`);
    const url = chosenUrl(values.url, profiles.get(name)?.url);
    if (values["no-verify"] !== true) {
      const access = { url, tokenId, tokenSecret, source: "token set" };
      await new ApiClient(access).call(GET_WORKSPACE, {});
    }
    profiles.update(name, { url, token_id: tokenId, token_secret: tokenSecret });
    if (values["no-activate"] !== true) profiles.activate(name);
    profiles.write();
    if (values.json === true) printJson({ profile: name, workspace, url, path: profiles.path });
    else printNotice(`the token is in profile "${name}" of ${profiles.path}`);
    return 0;
  },
};

export const TOKEN: CommandGroup = {
  name: "token",
  summary: "Manages the tokens that open the API.",
  commands: { create: CREATE, list: LIST, revoke: REVOKE, set: SET },
};

interface ChosenToken {
  readonly "token-id"?: string;
  readonly "token-secret"?: string;
  readonly "first-token"?: string;
}

async function chosenToken(
  values: ChosenToken,
): Promise<{ readonly tokenId: string; readonly tokenSecret: string }> {
  const { "token-id": id = "-", "token-secret": secret = "-", "first-token": workspace } = values;
  const input = new SecretInput();
  try {
    if (workspace === undefined) {
      const tokenId = id === "-" ? await input.line("token id") : id;
      const tokenSecret = secret === "-" ? await input.line("token secret") : secret;
      return { tokenId, tokenSecret };
    }
    if (!isObjectName(workspace)) {
      throw new UsageError(`--first-token: "${workspace}" is not a workspace's name`);
    }
    const key = process.env["POSTERN_KEY"] || (await input.line("gateway's key"));
    const keys = await deriveGatewayKeys(key).catch((error: unknown) => {
      throw error instanceof TypeError ? new CommandFailure(error.message) : error;
    });
    const token = await firstApiToken(keys, workspace);
    return { tokenId: token.id, tokenSecret: token.secret };
  } finally {
    input.close();
  }
}

function chosenUrl(flag: string | undefined, ofProfile: string | undefined): string {
  if (flag !== undefined) return originOf(flag, "--url");
  const url = gatewayUrl(process.env) ?? ofProfile ?? readRunning(DEFAULT_STATE)?.url;
  if (url !== undefined) return url;
  throw new UsageError("which gateway? name it with --url or POSTERN_URL");
}
