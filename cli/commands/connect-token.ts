/** `postern connect-token`: tokens that open one endpoint for a time, as a URL for a browser too. */
import { existsSync } from "node:fs";
import { CREATE_CONNECT_TOKEN } from "../../api/connect-tokens.ts";
import { isUserData, USER_DATA_RULE } from "../../routing/wire/user-data.ts";
import { ACCESS_NOTE, STATE_OPTION } from "../access.ts";
import { readConfig } from "../app-config.ts";
import { placeOfApp } from "../app-place.ts";
import type { Command, CommandGroup } from "../command.ts";
import { secondsOfConnectToken } from "../expires.ts";
import { UsageError } from "../failure.ts";
import { printJson, printNotice, printResult } from "../output.ts";

const DEFAULT_CONFIG = "postern.toml";

const CREATE_OPTIONS = {
  app: { type: "string", value: "APP", summary: `its app (that of ${DEFAULT_CONFIG} here)` },
  metadata: { type: "string", value: "TEXT", summary: "the app gets it as X-Verified-User-Data" },
  expires: { type: "string", value: "TIME", summary: "30d, 12h, 15m or 90s (1d)" },
  ...STATE_OPTION,
} as const;

const CREATE: Command<typeof CREATE_OPTIONS> = {
  description: {
    name: "connect-token create",
    summary: "Makes a token that opens one endpoint for a time; prints it, and a URL that opens.",
    positionals: ["FUNCTION"],
    options: CREATE_OPTIONS,
    notes: [
      "Whoever has the token or the URL may call the endpoint until it expires: nobody can revoke it.",
      ACCESS_NOTE,
    ],
  },
  async run({ values, positionals: [functionName = ""] }) {
    const { metadata = "" } = values;
    if (!isUserData(metadata)) throw new UsageError(`--metadata ${USER_DATA_RULE}`);
    const expiresIn = secondsOfConnectToken(values.expires);
    const { app, environment: ofFile } = await appOf(values);
    const said = values.env ?? ofFile;
    const { client, environment } = await placeOfApp(
      { ...values, ...(said !== undefined && { env: said }) },
      app,
    );
    const created = await client.call(CREATE_CONNECT_TOKEN, {
      path: { app },
      query: { environment },
      body: {
        function: functionName,
        user_metadata: metadata,
        ...(expiresIn !== undefined && { expires_in: expiresIn }),
      },
    });
    if (values.json === true) {
      printJson(created);
      return 0;
    }
    printResult(created.token);
    printResult(created.url);
    printNotice(
      `good until ${created.expires_at}; send it as Authorization: Bearer, or open the URL in a browser`,
    );
    return 0;
  },
};

export const CONNECT_TOKEN: CommandGroup = {
  name: "connect-token",
  summary: "Makes tokens that open one endpoint for a time, in a browser too.",
  commands: { create: CREATE },
};

/** The app that is named, else the one that the postern.toml here describes. */
async function appOf(values: {
  readonly app?: string;
  readonly env?: string;
}): Promise<{ app: string; environment?: string }> {
  if (values.app !== undefined) return { app: values.app };
  if (!existsSync(DEFAULT_CONFIG)) {
    throw new UsageError(`of which app? name it with --app: there is no ${DEFAULT_CONFIG} here`);
  }
  const { app, environment } = await readConfig(DEFAULT_CONFIG, values.env);
  return { app, ...(environment !== undefined && { environment }) };
}
