/** `/api/v1/tokens` and `/api/v1/workspace`: the tokens that open this API, and whose this one is. */
import * as z from "zod";
import { isOurId } from "../../../auth/tokens.ts";
import { gatewayKeys } from "../../contracts/keys.ts";
import { type ApiTokenInfo, MAX_TOKENS } from "../../contracts/workspace.ts";
import { SCOPES } from "../../contracts/scopes.ts";
import { workspaceStub } from "../../contracts/stubs.ts";
import { type Operation, operation } from "./operation.ts";
import { ApiProblem } from "./problems.ts";
import {
  EXPIRES_IN,
  expiry,
  PAGE_QUERY,
  pageOf,
  pageRequest,
  SECRET_FIELD,
  shownPage,
  shownToken,
  TOKEN_FIELDS,
  TOKEN_NAME,
} from "./schemas.ts";

const TAG = "API tokens";

const SCOPE = z
  .enum(SCOPES)
  .meta({ description: "read sees, deploy changes, admin also makes API tokens" });

const API_TOKEN = { name: "ApiToken", schema: z.object({ ...TOKEN_FIELDS, scope: SCOPE }) };

export const API_TOKEN_OPERATIONS: readonly Operation[] = [
  operation({
    id: "getWorkspace",
    method: "get",
    path: "/workspace",
    tag: TAG,
    summary: "Tell which workspace this token opens, and as what",
    needs: "read",
    answer: {
      status: 200,
      name: "Workspace",
      schema: z.object({ name: z.string(), token: API_TOKEN.schema }),
    },
    run: async ({ caller: { workspace, token } }) => ({ name: workspace, token: shown(token) }),
  }),
  operation({
    id: "listApiTokens",
    method: "get",
    path: "/tokens",
    tag: TAG,
    summary: "List the workspace's API tokens, newest first",
    needs: "admin",
    query: PAGE_QUERY,
    answer: { status: 200, ...pageOf(API_TOKEN) },
    async run({ env, caller, query }) {
      const stub = workspaceStub(env, caller.workspace);
      return shownPage(await stub.listApiTokens(pageRequest(query)), shown);
    },
  }),
  operation({
    id: "createApiToken",
    method: "post",
    path: "/tokens",
    tag: TAG,
    summary: "Make an API token",
    description:
      "Not idempotent: its secret is shown once and not kept, so that a repeated call could not be " +
      "answered again and makes another token instead. Revoke the one that got lost.",
    needs: "admin",
    body: {
      name: "NewApiToken",
      schema: z.strictObject({
        name: TOKEN_NAME,
        scope: SCOPE.default("deploy"),
        expires_in: EXPIRES_IN,
      }),
    },
    answer: { status: 201, name: "CreatedApiToken", schema: API_TOKEN.schema.extend(SECRET_FIELD) },
    async run({ env, caller, body: { name, scope, expires_in: expiresIn } }) {
      const chosen = { name, scope, expiresAt: expiry(expiresIn) };
      const stub = workspaceStub(env, caller.workspace);
      const created = await stub.createApiToken(chosen, caller.token.id);
      if ("refused" in created) {
        const detail = `the workspace has its ${MAX_TOKENS} API tokens; revoke one first`;
        throw new ApiProblem("conflict", detail);
      }
      return { ...shown(created.token), secret: created.token.secret };
    },
  }),
  operation({
    id: "revokeApiToken",
    method: "delete",
    path: "/tokens/{id}",
    tag: TAG,
    summary: "Revoke an API token, at once",
    description:
      "Idempotent: revoking it again is answered alike. The last admin's token that does not expire " +
      "is kept: nobody could make another one.",
    needs: "admin",
    async run({ env, caller: { workspace }, path: { id = "" } }) {
      if (!(await isOurId(await gatewayKeys(env), "api", workspace, id))) {
        throw new ApiProblem("not_found", "the workspace has no API token of this id");
      }
      const revoked = await workspaceStub(env, workspace).revokeApiToken(id);
      if ("refused" in revoked) {
        const detail = "this is the last admin's token that does not expire; make another first";
        throw new ApiProblem("conflict", detail);
      }
    },
  }),
];

function shown(token: ApiTokenInfo) {
  return { ...shownToken(token), scope: token.scope };
}
