/** `/api/v1/tokens` and `/api/v1/workspace`: the tokens that open this API, and whose this one is. */
import { isOurId } from "../../../auth/tokens.ts";
import { gatewayKeys } from "../../contracts/keys.ts";
import { type ApiTokenInfo } from "../../contracts/workspace/tokens.ts";
import { workspaceStub } from "../../contracts/stubs.ts";
import { unlessRefused } from "./apps.ts";
import { ApiProblem } from "./problems.ts";
import { type ApiHandler, handle } from "./operation-router.ts";
import {
  GET_WORKSPACE,
  LIST_API_TOKENS,
  CREATE_API_TOKEN,
  REVOKE_API_TOKEN,
  type ApiToken,
} from "../../../api/tokens.ts";
import { expiry, pageRequest, toPage, toTokenFields } from "./documents.ts";

export const API_TOKEN_HANDLERS: readonly ApiHandler[] = [
  handle(GET_WORKSPACE, async ({ caller: { workspace, token } }) => ({
    name: workspace,
    token: toApiToken(token),
  })),
  handle(LIST_API_TOKENS, async ({ env, caller, query }) => {
    const stub = workspaceStub(env, caller.workspace);
    return toPage(await stub.listApiTokens(pageRequest(query)), toApiToken);
  }),
  handle(
    CREATE_API_TOKEN,
    async ({ env, caller, body: { name, scope, expires_in: expiresIn } }) => {
      const chosen = { name, scope, expiresAt: expiry(expiresIn) };
      const stub = workspaceStub(env, caller.workspace);
      const created = unlessRefused(await stub.createApiToken(chosen, caller.token.id));
      return { ...toApiToken(created), secret: created.secret };
    },
  ),
  handle(REVOKE_API_TOKEN, async ({ env, caller: { workspace }, path: { id } }) => {
    if (!(await isOurId(await gatewayKeys(env), "api", workspace, id))) {
      throw new ApiProblem("not_found", "the workspace has no API token of this id");
    }
    unlessRefused(await workspaceStub(env, workspace).revokeApiToken(id));
  }),
];

function toApiToken(token: ApiTokenInfo): ApiToken {
  return { ...toTokenFields(token), scope: token.scope };
}
