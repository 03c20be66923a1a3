/** The values of `parameters`: query parameters that select containers of their own. */
import * as z from "zod";
import { isJsonOf, type Parameters } from "../../core/parameters.ts";
import { either, oneOf, table, tableOf, text } from "../values.ts";

const DEFAULT =
  "must be a value of the parameter's type: text, an integer, a number, true or false, or base64";

/** How a query has it. */
type Default = string | number | boolean;

export const parameters = () =>
  tableOf(
    text(
      /^[A-Za-z_][A-Za-z0-9_]{0,63}$/,
      "must be named with ASCII letters, digits and underscores",
    ),
    table({
      type: oneOf(["str", "int", "float", "bool", "bytes"]),
      default: either([z.string(), z.number(), z.boolean()], DEFAULT).optional(),
    }).refine(({ type, default: value }) => value === undefined || isDefaultOf(type, value), {
      error: DEFAULT,
      path: ["default"],
    }),
    'must be a table, such as { root = { type = "str", default = "." } }',
  );

function isDefaultOf(type: Parameters[string]["type"], value: Default): boolean {
  const kinds = { str: "string", int: "number", float: "number", bool: "boolean", bytes: "string" };
  return typeof value === kinds[type] && isJsonOf(type, `${value}`);
}

/** With defaults as a query has them. */
export function resolveParameters(
  given: Readonly<
    Record<
      string,
      { readonly type: Parameters[string]["type"]; readonly default?: Default | undefined }
    >
  >,
): Parameters {
  return Object.fromEntries(
    Object.entries(given).map(([name, { type, default: value }]) => [
      name,
      value === undefined ? { type } : { type, default: `${value}` },
    ]),
  );
}
