/** The keys that name an endpoint and say who may call it. */
import { boolean, functionName, text } from "../values.ts";
import { available } from "./key.ts";

export const ENDPOINT_NAME_KEYS = {
  function: available(functionName(), {
    default: "required",
    meaning:
      "Its name: up to 128 of the same characters. With the app's it makes the label, `<app>-<function>`: lower case, every run of other characters than ASCII letters, digits and dashes is one dash, dashes at the ends go.",
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
        "Instead of that: 1 to 63 lower-case letters, digits and inner dashes. It is refused rather than repaired.",
      example: '"speechify"',
    },
  ),
  requires_proxy_auth: available(boolean(), {
    default: "`false`",
    meaning: "Callers need a proxy token of the workspace; others get 401 and never reach the app.",
    example: "true",
  }),
};
