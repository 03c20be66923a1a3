/** `/api/v1/proxy-tokens`: the tokens that open a workspace's private endpoints. */
import * as z from "zod";
import { isOurId } from "../../../auth/tokens.ts";
import { gatewayKeys } from "../../contracts/keys.ts";
import { type ProxyTokenInfo, MAX_TOKENS } from "../../contracts/workspace.ts";
import { workspaceStub } from "../../contracts/stubs.ts";
import { type Operation, operation } from "./operation.ts";
import { ApiProblem } from "./problems.ts";
import {
  EXPIRES_IN,
  expiry,
  OBJECT_NAME,
  PAGE_QUERY,
  pageOf,
  pageRequest,
  SECRET_FIELD,
  shownPage,
  shownToken,
  TOKEN_FIELDS,
  TOKEN_NAME,
} from "./schemas.ts";

const TAG = "proxy tokens";

const MAX_RESTRICTIONS = 100;

const RESTRICTION = z.array(OBJECT_NAME).max(MAX_RESTRICTIONS);

const RESTRICTIONS = {
  environments: RESTRICTION.meta({ description: "Those whose endpoints it opens; empty: all" }),
  apps: RESTRICTION.meta({ description: "Those whose endpoints it opens; empty: all" }),
};

const PROXY_TOKEN = {
  name: "ProxyToken",
  schema: z.object({ ...TOKEN_FIELDS, ...RESTRICTIONS }),
};

export const PROXY_TOKEN_OPERATIONS: readonly Operation[] = [
  operation({
    id: "listProxyTokens",
    method: "get",
    path: "/proxy-tokens",
    tag: TAG,
    summary: "List the workspace's proxy auth tokens, newest first",
    needs: "read",
    query: PAGE_QUERY,
    answer: { status: 200, ...pageOf(PROXY_TOKEN) },
    async run({ env, caller, query }) {
      const stub = workspaceStub(env, caller.workspace);
      return shownPage(await stub.listProxyTokens(pageRequest(query)), shown);
    },
  }),
  operation({
    id: "createProxyToken",
    method: "post",
    path: "/proxy-tokens",
    tag: TAG,
    summary: "Make a proxy auth token",
    description:
      "Not idempotent: its secret is shown once and not kept, so that a repeated call could not be " +
      "answered again and makes another token instead. Revoke the one that got lost.",
    needs: "deploy",
    body: {
      name: "NewProxyToken",
      schema: z.strictObject({
        name: TOKEN_NAME,
        environments: RESTRICTIONS.environments.default([]),
        apps: RESTRICTIONS.apps.default([]),
        expires_in: EXPIRES_IN,
      }),
    },
    answer: {
      status: 201,
      name: "CreatedProxyToken",
      schema: PROXY_TOKEN.schema.extend(SECRET_FIELD),
    },
    async run({ env, caller, body }) {
      const { name, environments, apps, expires_in: expiresIn } = body;
      const chosen = { name, environments, apps, expiresAt: expiry(expiresIn) };
      const stub = workspaceStub(env, caller.workspace);
      const created = await stub.createProxyToken(chosen, caller.token.id);
      if ("refused" in created) {
        const detail = `the workspace has its ${MAX_TOKENS} proxy tokens; revoke one first`;
        throw new ApiProblem("conflict", detail);
      }
      return { ...shown(created.token), secret: created.token.secret };
    },
  }),
  operation({
    id: "revokeProxyToken",
    method: "delete",
    path: "/proxy-tokens/{id}",
    tag: TAG,
    summary: "Revoke a proxy auth token, everywhere within 5 s",
    description: "Idempotent: revoking it again is answered alike.",
    needs: "deploy",
    async run({ env, caller: { workspace }, path: { id = "" } }) {
      if (!(await isOurId(await gatewayKeys(env), "proxy", workspace, id))) {
        throw new ApiProblem("not_found", "the workspace has no proxy token of this id");
      }
      await workspaceStub(env, workspace).revokeProxyToken(id);
    },
  }),
];

function shown(token: ProxyTokenInfo) {
  const { environments, apps } = token;
  return { ...shownToken(token), environments, apps };
}
