/** `/usage`: who used what, by token, endpoint and day. */
import * as z from "zod";
import { apiOperation } from "./operation.ts";
import { PAGE_QUERY, pageOf } from "./schemas.ts";

const DAY = z.iso.date();

const USAGE = {
  name: "Usage",
  schema: z.object({
    day: DAY.meta({ description: "By UTC" }),
    token: z
      .string()
      .meta({ description: "The proxy token's id, also of one that is revoked; `-`: unknown" }),
    endpoint: z.string().meta({ description: "`<environment>/<app>/<function>`" }),
    requests: z.int().meta({ description: "Those that got a place in a container" }),
    container_seconds: z
      .number()
      .meta({ description: "The time of containers, shared by the calls that each had at a time" }),
    refused: z.int().meta({ description: "Those that a limit refused with 429" }),
  }),
};

/** A row of use as the API shows it. */
export type ApiUsage = z.output<typeof USAGE.schema>;

export const LIST_USAGE = apiOperation({
  id: "listUsage",
  method: "get",
  path: "/usage",
  tag: "usage",
  summary: "List the use by proxy tokens, the newest days first",
  description:
    "A box reports its use every five seconds, and calls that run are in it. The gateway counts refused " +
    "requests; those that a limit of the workspace or of an endpoint refuses are of the token `-`, as are " +
    "those without one. A day has a row for each " +
    "token at each endpoint, and is kept for 90 days. A day of more than 10,000 rows has the further " +
    "endpoints of a token in a row with the endpoint `*`.",
  needs: "read",
  query: PAGE_QUERY.extend({
    since: DAY.optional().meta({ description: "The first day" }),
    token: z.string().max(64).optional().meta({ description: "The token's id; all without" }),
  }),
  response: { status: 200, name: "UsageRows", schema: pageOf(USAGE).schema },
});
