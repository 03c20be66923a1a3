/** `/apps/{app}/connect-tokens`. A connect token opens one endpoint for a time, by a URL too. */
import * as z from "zod";
import { isUserData, MAX_USER_DATA_CHARACTERS, USER_DATA_RULE } from "../routing/wire/user-data.ts";
import { ENVIRONMENT_QUERY } from "./apps.ts";
import { apiOperation } from "./operation.ts";
import { TIME } from "./schemas.ts";

const DAY_S = 86_400;
export const MAX_CONNECT_TOKEN_S = 30 * DAY_S;

export const CREATE_CONNECT_TOKEN = apiOperation({
  id: "createConnectToken",
  method: "post",
  path: "/apps/{app}/connect-tokens",
  tag: "connect tokens",
  summary: "Make a token that opens one endpoint for a time",
  description:
    "Not idempotent, and without a trace: the gateway keeps no connect token, so that each call makes another one and " +
    "none can be listed or revoked. It expires.",
  needs: "deploy",
  query: ENVIRONMENT_QUERY,
  body: {
    name: "NewConnectToken",
    schema: z.strictObject({
      function: z
        .string()
        .min(1)
        .max(128)
        .meta({ description: "The app's function that it opens" }),
      user_metadata: z.string().refine(isUserData, USER_DATA_RULE).default("").meta({
        // Spelt for every dialect of regular expressions; other letters than ASCII are taken too.
        pattern: "^([!-~]([ -~]*[!-~])?)?$",
        maxLength: MAX_USER_DATA_CHARACTERS,
        description: "The app gets it as `X-Verified-User-Data`; nothing where it is empty",
      }),
      expires_in: z
        .int()
        .min(1)
        .max(MAX_CONNECT_TOKEN_S)
        .default(DAY_S)
        .meta({ description: "Seconds from now" }),
    }),
  },
  response: {
    status: 201,
    name: "ConnectToken",
    schema: z.object({
      token: z.string().meta({ description: "Shown this once" }),
      url: z.url().meta({ description: "The endpoint's, with the token: it opens in a browser" }),
      expires_at: TIME,
    }),
  },
});
