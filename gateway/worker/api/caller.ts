/**
 * Who calls the API: the workspace and token that `Authorization: Bearer ak-….as-…` proves. The MAC in
 * the id is checked first, so that a guess asks no object; the workspace itself has the last word, so
 * that a revoked API token is refused at once.
 */
import { apiCredential } from "../../../auth/credential.ts";
import { digestOf, isOurId, workspaceOfApiToken } from "../../../auth/tokens.ts";
import type { Env } from "../../contracts/env.ts";
import { gatewayKeys } from "../../contracts/keys.ts";
import type { ApiTokenInfo } from "../../contracts/workspace/tokens.ts";
import { allows, type Scope } from "../../../api/scopes.ts";
import { workspaceStub } from "../../contracts/stubs.ts";
import { ApiProblem } from "./problems.ts";

export interface Caller {
  readonly workspace: string;
  readonly token: ApiTokenInfo;
}

/** @throws ApiProblem unless the caller's token has this scope, or one that includes it */
export async function callerOf(headers: Headers, env: Env, scope: Scope): Promise<Caller> {
  const presented = apiCredential(headers);
  if (presented === undefined) {
    const hint = "send an API token: Authorization: Bearer ak-….as-…";
    throw new ApiProblem("missing_credentials", "", { hint });
  }
  const workspace = workspaceOfApiToken(presented.id) ?? "";
  const ours = await isOurId(await gatewayKeys(env), "api", workspace, presented.id);
  const token = ours
    ? await workspaceStub(env, workspace).authenticate(presented.id, await digestOf(presented))
    : undefined;
  if (token === undefined) throw new ApiProblem("invalid_credentials", "");
  if (!allows(token.scope, scope)) {
    const detail = `this needs a token of scope ${scope}; this one has ${token.scope}`;
    throw new ApiProblem("forbidden", detail);
  }
  return { workspace, token };
}
