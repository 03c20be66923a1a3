/** `/api/v1/proxy-tokens`: the tokens that open a workspace's private endpoints. */
import type { TokenLimits } from "../../../auth/proxy-authorization.ts";
import { isOurId } from "../../../auth/tokens.ts";
import { gatewayKeys } from "../../contracts/keys.ts";
import { type ProxyTokenInfo } from "../../contracts/workspace/tokens.ts";
import { workspaceStub } from "../../contracts/stubs.ts";
import { unlessRefused } from "./apps.ts";
import { ApiProblem } from "./problems.ts";
import { type ApiHandler, handle } from "./operation-router.ts";
import {
  LIST_PROXY_TOKENS,
  CREATE_PROXY_TOKEN,
  REVOKE_PROXY_TOKEN,
  type ApiProxyToken,
} from "../../../api/proxy-tokens.ts";
import { expiry, pageRequest, toPage, toTokenFields } from "./documents.ts";

export const PROXY_TOKEN_HANDLERS: readonly ApiHandler[] = [
  handle(LIST_PROXY_TOKENS, async ({ env, caller, query }) => {
    const stub = workspaceStub(env, caller.workspace);
    return toPage(await stub.listProxyTokens(pageRequest(query)), toApiProxyToken);
  }),
  handle(CREATE_PROXY_TOKEN, async ({ env, caller, body }) => {
    const { name, environments, apps, paths, expires_in: expiresIn } = body;
    const limits = limitsOf(body);
    const chosen = { name, environments, apps, paths, limits, expiresAt: expiry(expiresIn) };
    const stub = workspaceStub(env, caller.workspace);
    const created = unlessRefused(await stub.createProxyToken(chosen, caller.token.id));
    return { ...toApiProxyToken(created), secret: created.secret };
  }),
  handle(REVOKE_PROXY_TOKEN, async ({ env, caller: { workspace }, path: { id } }) => {
    if (!(await isOurId(await gatewayKeys(env), "proxy", workspace, id))) {
      throw new ApiProblem("not_found", "the workspace has no proxy token of this id");
    }
    await workspaceStub(env, workspace).revokeProxyToken(id);
  }),
];

/** The limits of a new token, as the API names them. */
interface ChosenLimits {
  readonly rate_limit?: string | undefined;
  readonly daily_requests?: number | undefined;
  readonly daily_container_seconds?: number | undefined;
  readonly concurrent?: number | undefined;
  readonly priority: ApiProxyToken["priority"];
}

function limitsOf({
  rate_limit: rateLimit,
  daily_requests: dailyRequests,
  daily_container_seconds: dailyContainerSeconds,
  concurrent,
  priority,
}: ChosenLimits): TokenLimits {
  return {
    ...(rateLimit !== undefined && { rateLimit }),
    ...(dailyRequests !== undefined && { dailyRequests }),
    ...(dailyContainerSeconds !== undefined && { dailyContainerSeconds }),
    ...(concurrent !== undefined && { concurrent }),
    ...(priority === "batch" && { isBatch: true }),
  };
}

function toApiProxyToken(token: ProxyTokenInfo): ApiProxyToken {
  const { environments, apps, paths, limits } = token;
  return {
    ...toTokenFields(token),
    environments,
    apps,
    paths,
    rate_limit: limits.rateLimit ?? null,
    daily_requests: limits.dailyRequests ?? null,
    daily_container_seconds: limits.dailyContainerSeconds ?? null,
    concurrent: limits.concurrent ?? null,
    priority: limits.isBatch === true ? "batch" : "interactive",
  };
}
