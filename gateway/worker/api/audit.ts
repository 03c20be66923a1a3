/** `/api/v1/audit`: who changed what in the workspace. */
import { LIST_AUDIT } from "../../../api/audit.ts";
import { workspaceStub } from "../../contracts/stubs.ts";
import { pageRequest, toPage, toTime } from "./documents.ts";
import { type ApiHandler, handle } from "./operation-router.ts";

export const AUDIT_HANDLERS: readonly ApiHandler[] = [
  handle(LIST_AUDIT, async ({ env, caller, query }) =>
    toPage(
      await workspaceStub(env, caller.workspace).listAudit(pageRequest(query)),
      ({ at, by, byName, operation, object, result }) => ({
        at: toTime(at),
        by,
        by_name: byName,
        operation,
        object,
        result,
      }),
    ),
  ),
];
