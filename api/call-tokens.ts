/** `/apps/{app}/call-tokens`. A call token opens an app's functions for some minutes to a program that is none of its containers. */
import * as z from "zod";
import { ENDPOINT, ENVIRONMENT_QUERY } from "./apps.ts";
import { apiOperation } from "./operation.ts";

/** An app that asks for one says who it is; a holder of an API token says nothing. */
export const NEW_CALL_TOKEN = {
  name: "NewCallToken",
  schema: z.strictObject({
    from: z
      .url()
      .optional()
      .meta({ description: "An endpoint of the caller's own app; with an app token alone" }),
  }),
};

export const CALL_TOKEN = {
  name: "CallToken",
  schema: z.object({
    token: z.string().meta({ description: "For `Authorization: Bearer`" }),
    expires_in: z.int().meta({ description: "Seconds" }),
    endpoints: z.array(ENDPOINT),
  }),
};

export const CREATE_CALL_TOKEN = apiOperation({
  id: "createCallToken",
  method: "post",
  path: "/apps/{app}/call-tokens",
  tag: "apps",
  summary: "Make a token that opens the app's functions for some minutes",
  description:
    "Its holder may run code in the app's containers, as everybody may who deploys. A container of " +
    "another app of the same environment sends its app token, and as `from` the URL of an endpoint of its " +
    "own. Not idempotent, and nothing to revoke: each call makes another token, which expires by itself.",
  needs: "deploy",
  query: ENVIRONMENT_QUERY,
  body: NEW_CALL_TOKEN,
  response: { status: 201, ...CALL_TOKEN },
});
