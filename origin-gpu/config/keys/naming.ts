/** The keys that name an endpoint and say who may call it. */
import { boolean, functionName, text } from "../values.ts";
import { available } from "./key.ts";

export const ENDPOINT_NAME_KEYS = {
  function: available(functionName(), {
    default: "required",
    meaning:
      "The endpoint's name within its app. Both make the label, `<app>-<function>`, in lower case: every run of other characters than ASCII letters, digits and dashes is one dash, dashes at the ends go.",
    example: '"chat"',
  }),
  label: available(
    text(
      /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/,
      "must be 1 to 63 lower-case letters, digits and dashes, no dash at either end",
    ),
    {
      default: "`<app>-<function>`",
      meaning:
        "The part of the host name after `<workspace>--`. A wrong one is refused rather than repaired.",
      example: '"speechify"',
    },
  ),
  requires_proxy_auth: available(boolean(), {
    default: "`false`",
    meaning: "Callers need a proxy token of the workspace; others get 401 and never reach the app.",
    example: "true",
  }),
};
