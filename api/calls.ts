/** `/boxes/{box}/calls`. Calls: what runs on a box and what it stores. */
import * as z from "zod";
import { CALL_STATUS } from "../routing/wire/call-descriptions.ts";
import { apiOperation } from "./operation.ts";
import { PAGE_QUERY, TIME, pageOf } from "./schemas.ts";

const TAG = "calls";

const CALL = {
  name: "Call",
  schema: z.object({
    call: z.string(),
    endpoint: z.string(),
    method: z.string().optional(),
    path: z.string().optional(),
    status: CALL_STATUS,
    box: z.string(),
    container: z
      .string()
      .optional()
      .meta({ description: "Which works on it; not of an ended call" }),
    kept: z.boolean().meta({ description: "Its response is or will be on the box's disk" }),
    created_at: TIME.optional().meta({ description: "When its client began it" }),
    elapsed_ms: z.number().meta({ description: "From then on, until now or until it ended" }),
    timeline: z.array(z.object({ state: z.string(), at_ms: z.number() })),
  }),
};

const CALLS = pageOf(CALL);

/** A cursor: after a running call, or after one that has ended. */
const CALL_CURSOR = /^(r[0-9]{1,15}(\.[0-9]{1,17})?|e[0-9]{1,15}-[0-9a-f-]{36})$/;

/** A call as the API shows it. */
export type ApiCall = z.output<typeof CALL.schema>;

export const LIST_CALLS = apiOperation({
  id: "listCalls",
  method: "get",
  path: "/boxes/{box}/calls",
  tag: TAG,
  summary: "List the calls that run on a box, then those that it stores, the newest of each first",
  needs: "read",
  query: PAGE_QUERY.extend({
    cursor: z
      .string()
      .regex(CALL_CURSOR, "must be the next_cursor of an earlier page")
      .optional()
      .meta({ description: "`next_cursor` of the page before; the first page without it" }),
  }),
  response: { status: 200, ...CALLS },
});

export const INSPECT_CALL = apiOperation({
  id: "inspectCall",
  method: "get",
  path: "/boxes/{box}/calls/{id}",
  tag: TAG,
  summary: "Show one call and its timeline",
  needs: "read",
  response: { status: 200, ...CALL },
});

export const CANCEL_CALL = apiOperation({
  id: "cancelCall",
  method: "delete",
  path: "/boxes/{box}/calls/{id}",
  tag: TAG,
  summary: "Cancel a call that waits or runs",
  description: "Idempotent: a call that has ended is left as it is.",
  needs: "deploy",
});
