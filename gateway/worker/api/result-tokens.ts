/**
 * `/api/v1/result-tokens`: the token of a call's result URL, for the app that has the call. A function knows the id of
 * its call and its box alone; who it tells them to asks here, and then for the result.
 */
import * as z from "zod";
import { appToken } from "../../../auth/credential.ts";
import { signResultToken } from "../../../auth/result-token.ts";
import { CALL_ID } from "../../../routing/wire/messages.ts";
import type { Env } from "../../contracts/env.ts";
import { gatewayKeys } from "../../contracts/keys.ts";
import { resultLifetimeS } from "../edge/result-urls.ts";
import { askBox } from "./ask-box.ts";
import { endpointOfApp } from "./call-tokens.ts";
import { ApiProblem } from "./problems.ts";

const NEW_RESULT_TOKEN = z.strictObject({
  /** Of the endpoint at which the call came. */
  url: z.url(),
  box: z.string(),
  call: CALL_ID,
});

/** @throws ApiProblem */
export async function resultTokenFor(
  env: Env,
  execution: ExecutionContext,
  request: Request,
): Promise<{ readonly token: string }> {
  const own = appToken(request.headers);
  if (own === undefined) throw new ApiProblem("missing_credentials", "send an app or call token");
  const body = NEW_RESULT_TOKEN.safeParse(await request.json().catch(() => undefined));
  if (!body.success) throw new ApiProblem("bad_request", z.prettifyError(body.error));
  const { url, box, call: callId } = body.data;
  const snapshot = await endpointOfApp(env, execution, url, own);
  const { workspace, appId, endpoint } = snapshot;
  const found = await askBox(env, { workspace, box }, "inspectCall", { workspace, callId });
  if (found.endpoint !== endpoint) {
    throw new ApiProblem("no_such_call", "the call is another endpoint's");
  }
  const expiresAtS = Math.ceil(Date.now() / 1000) + resultLifetimeS(snapshot);
  const isHead = found.method === "HEAD";
  const claims = { callId, endpoint, appId, workspace, box, isHead, hop: 0, expiresAtS };
  return { token: await signResultToken(claims, (await gatewayKeys(env)).resultTokens) };
}
