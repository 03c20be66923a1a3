/**
 * `/api/v1/apps/{app}/call-tokens`: tokens that open an app's functions. The holder of a token of scope
 * `deploy` may run code anyway, and obtains one. So does an app, for another app of its environment: the same people deploy both.
 */
import { mintCallToken, verifyAppToken } from "../../../auth/app-token.ts";
import { appToken } from "../../../auth/credential.ts";
import { CALL_TOKEN, CREATE_CALL_TOKEN, NEW_CALL_TOKEN } from "../../../api/call-tokens.ts";
import { parseHost } from "../../../routing/host.ts";
import type { AppAddress, AppView } from "../../contracts/workspace/apps.ts";
import type { Env } from "../../contracts/env.ts";
import { gatewayKeys } from "../../contracts/keys.ts";
import type { Snapshot } from "../../contracts/names.ts";
import { workspaceStub } from "../../contracts/stubs.ts";
import { lookup } from "../edge/routes.ts";
import { appAddress, noApp } from "./apps.ts";
import { type ApiHandler, handle } from "./operation-router.ts";
import { ApiProblem } from "./problems.ts";
import type * as z from "zod";

type CallToken = z.output<typeof CALL_TOKEN.schema>;

/** Long enough for a call to begin, and for its result to be asked for; then the caller gets another one. */
const LIFETIME_S = 15 * 60;

export const CALL_TOKEN_HANDLERS: readonly ApiHandler[] = [
  handle(CREATE_CALL_TOKEN, async ({ env, caller: { workspace }, path, query }) => {
    const address = appAddress(path, query);
    const app = await workspaceStub(env, workspace).app(address);
    return await tokenFor(env, workspace, app, address);
  }),
];

/**
 * The call token that an app asks for with its own token; undefined where the request has no such token.
 * @throws ApiProblem
 */
export async function callTokenForApp(
  env: Env,
  execution: ExecutionContext,
  request: Request,
  address: AppAddress,
): Promise<CallToken | undefined> {
  const token = appToken(request.headers);
  if (token === undefined) return undefined;
  const asker = await askerOf(env, execution, request, token);
  const stub = workspaceStub(env, asker.workspace);
  const [own, app] = await Promise.all([
    stub.app({ app: asker.appId, environment: address.environment }),
    stub.app(address),
  ]);
  if (own === undefined || (app !== undefined && app.environment !== own.environment)) {
    throw new ApiProblem("forbidden", "an app calls apps of its own environment alone");
  }
  return await tokenFor(env, asker.workspace, app, address);
}

/** Whose app token it is, by the endpoint that its holder names. */
async function askerOf(
  env: Env,
  execution: ExecutionContext,
  request: Request,
  token: string,
): Promise<Snapshot> {
  const body = NEW_CALL_TOKEN.schema.safeParse(await request.json().catch(() => undefined));
  const from = body.data?.from;
  if (from === undefined) {
    throw new ApiProblem("bad_request", "an app token comes with from, the URL of an own endpoint");
  }
  return await endpointOfApp(env, execution, from, token);
}

/**
 * The endpoint at a URL, of the app whose app token or call token this is.
 * @throws ApiProblem where there is none, or the token is another app's
 */
export async function endpointOfApp(
  env: Env,
  execution: ExecutionContext,
  url: string,
  token: string,
): Promise<Snapshot> {
  const host = parseHost(new URL(url).host, env.POSTERN_BASE_DOMAIN);
  if (!host.ok || host.value.kind !== "endpoint") {
    throw new ApiProblem("bad_request", `${url} is no endpoint of this gateway`);
  }
  const found = await lookup(env, execution, host.value.name);
  if ("unavailable" in found)
    throw new ApiProblem("unavailable", "the registry of names did not answer");
  const { snapshot } = found;
  if (snapshot === undefined || "stopped" in snapshot) {
    throw new ApiProblem("invalid_credentials", "");
  }
  const { workspace, appId } = snapshot;
  const keys = await gatewayKeys(env);
  const verdict = await verifyAppToken(keys, token, { workspace, id: appId }, Date.now() / 1000);
  if (verdict !== "allowed") throw new ApiProblem("invalid_credentials", "");
  return snapshot;
}

async function tokenFor(
  env: Env,
  workspace: string,
  app: AppView | undefined,
  address: AppAddress,
): Promise<CallToken> {
  if (app === undefined) throw noApp(address);
  const expiresAtS = Math.floor(Date.now() / 1000) + LIFETIME_S;
  return {
    token: await mintCallToken(await gatewayKeys(env), { workspace, id: app.id }, expiresAtS),
    expires_in: LIFETIME_S,
    endpoints: [...app.endpoints],
  };
}
