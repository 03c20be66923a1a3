/** `/audit`: who changed what in the workspace. */
import * as z from "zod";
import { apiOperation } from "./operation.ts";
import { PAGE_QUERY, TIME, pageOf } from "./schemas.ts";

const AUDIT_ENTRY = {
  name: "AuditEntry",
  schema: z.object({
    at: TIME.meta({ description: "When it began" }),
    by: z.string().meta({ description: "The API token" }),
    by_name: z.string().meta({ description: "The token's name then" }),
    operation: z.string().meta({ description: "The operation of this API, by its `operationId`" }),
    object: z.string().meta({ description: "The operation's object, as its path names it" }),
    result: z
      .string()
      .nullable()
      .meta({ description: "`ok`, or the code of its refusal; null: it runs, or broke off" }),
  }),
};

export const LIST_AUDIT = apiOperation({
  id: "listAudit",
  method: "get",
  path: "/audit",
  tag: "audit",
  summary: "List the changes to the workspace that were asked for, newest first",
  description:
    "Each call of an operation that may change something has an entry, before its work begins. " +
    "The newest 10,000 are kept. No entry has a secret's value.",
  needs: "admin",
  query: PAGE_QUERY,
  response: { status: 200, name: "AuditEntries", schema: pageOf(AUDIT_ENTRY).schema },
});
