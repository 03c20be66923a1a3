/** `/api/v1/proxy-tokens`: the tokens that open a workspace's private endpoints. */
import { changedLimits, type TokenLimitsChange } from "../../../auth/proxy-authorization.ts";
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
  UPDATE_PROXY_TOKEN,
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
    const limits = changedLimits({}, changeOf(body));
    const chosen = { name, environments, apps, paths, limits, expiresAt: expiry(expiresIn) };
    const stub = workspaceStub(env, caller.workspace);
    const created = unlessRefused(await stub.createProxyToken(chosen, caller.token.id));
    return { ...toApiProxyToken(created), secret: created.secret };
  }),
  handle(UPDATE_PROXY_TOKEN, async ({ env, caller: { workspace }, path: { id }, body }) => {
    const change = changeOf(body);
    const changed = await workspaceStub(env, workspace).changeProxyToken(id, change);
    return toApiProxyToken(unlessRefused(changed));
  }),
  handle(REVOKE_PROXY_TOKEN, async ({ env, caller: { workspace }, path: { id } }) => {
    if (!(await isOurId(await gatewayKeys(env), "proxy", workspace, id))) {
      throw new ApiProblem("not_found", "the workspace has no proxy token of this id");
    }
    await workspaceStub(env, workspace).revokeProxyToken(id);
  }),
];

/** Limits as the API names them; those that are left out stay as they are. */
interface ChosenLimits {
  readonly rate_limit?: string | null | undefined;
  readonly daily_requests?: number | null | undefined;
  readonly daily_container_seconds?: number | null | undefined;
  readonly concurrent?: number | null | undefined;
  readonly priority?: ApiProxyToken["priority"] | undefined;
}

function changeOf(chosen: ChosenLimits): TokenLimitsChange {
  return {
    rateLimit: chosen.rate_limit,
    dailyRequests: chosen.daily_requests,
    dailyContainerSeconds: chosen.daily_container_seconds,
    concurrent: chosen.concurrent,
    isBatch: chosen.priority === undefined ? undefined : chosen.priority === "batch" || null,
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
