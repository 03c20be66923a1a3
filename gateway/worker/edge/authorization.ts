/**
 * Authorization of a private endpoint, at the edge: a refused request reaches no box. It decides from the isolate's
 * memory of the workspace's proxy tokens. It looks up an id that memory lacks only if the MAC shows that this gateway
 * made it: the token may be new, and has to work at once, while a forged id costs no object. App tokens and connect
 * tokens need no memory, because the gateway's MAC proves everything.
 */
import { err, ok, type Result } from "../../../base/result.ts";
import { verifyAppToken } from "../../../auth/app-token.ts";
import { appToken, proxyCredential } from "../../../auth/credential.ts";
import {
  authorizeProxy,
  type PrivateEndpoint,
  type ProxyToken,
  type ProxyVerdict,
} from "../../../auth/proxy-authorization.ts";
import type { Credential } from "../../../auth/tokens.ts";
import type { Refusal } from "../../../routing/wire/errors.ts";
import type { Env } from "../../contracts/env.ts";
import { gatewayKeys } from "../../contracts/keys.ts";
import type { Snapshot } from "../../contracts/names.ts";
import { ADMITTED, type Admission, type EndpointCaller } from "./admission.ts";
import { admitConnected } from "./connect-tokens.ts";
import { admitByJwt } from "./jwt.ts";
import { admitSignedIn } from "./sign-in.ts";
import { withinWait } from "./snapshot-cache.ts";
import { CREDENTIALS_UNAVAILABLE, credentialsOf } from "./workspace-credentials.ts";
import { LAST_USE_RESOLUTION_MS } from "../../contracts/workspace/tokens.ts";
import { workspaceStub } from "../../contracts/stubs.ts";

/** Ids that an isolate remembers as gone, or as used lately; then it starts over. */
const MAX_IDS = 10_000;

/** Ids that the gateway made and their workspace does not have. No id is made twice, so this stays true. */
const gone = new Set<string>();

/** When an isolate last reported a token's use, in milliseconds of the epoch. */
const usesReported = new Map<string, number>();

/** Whether the caller may pass, and what is known of it then. A public endpoint lets everybody pass. */
export async function authorize(
  env: Env,
  context: ExecutionContext,
  caller: EndpointCaller,
  endpoint: Snapshot,
): Promise<Result<Admission, Refusal>> {
  const { requiresProxyAuth, requiresAppToken } = endpoint.settings;
  const { headers, target } = caller;
  if (requiresAppToken === true) return admission(await passAppAlone(env, headers, endpoint));
  if (requiresProxyAuth !== true) {
    const connected = await admitConnected(env, caller, endpoint);
    return connected?.ok === true ? connected : ok(ADMITTED);
  }
  const presented = proxyCredential(headers);
  if (presented !== undefined) {
    const { workspace, environment, app } = endpoint;
    return await pass(env, context, presented, { workspace, environment, app, target });
  }
  const token = appToken(headers);
  if (token !== undefined) return admission(await passApp(env, token, endpoint));
  const connected = await admitConnected(env, caller, endpoint);
  if (connected?.ok === true) return connected;
  const { jwt, oidc } = endpoint.settings.auth ?? {};
  const trusted = jwt && (await admitByJwt(env, context, caller, jwt));
  if (trusted?.ok === true) return trusted;
  const signedIn =
    oidc && (await admitSignedIn(env, context, { caller, snapshot: endpoint }, oidc));
  return signedIn ?? trusted ?? connected ?? err({ code: "missing_credentials", detail: "" });
}

function admission(refusal: Refusal | undefined): Result<Admission, Refusal> {
  return refusal === undefined ? ok(ADMITTED) : err(refusal);
}

/** The endpoint unpickles what its callers send: a proxy token, which may be a stranger's, does not open it. */
async function passAppAlone(
  env: Env,
  headers: Headers,
  endpoint: Snapshot,
): Promise<Refusal | undefined> {
  const token = appToken(headers);
  if (token !== undefined) return await passApp(env, token, endpoint);
  if (proxyCredential(headers) === undefined) return { code: "missing_credentials", detail: "" };
  return {
    code: "forbidden",
    detail: "only the app itself and its deployers may call this function",
  };
}

async function passApp(
  env: Env,
  token: string,
  { workspace, appId: id }: Snapshot,
): Promise<Refusal | undefined> {
  const keys = await gatewayKeys(env);
  switch (await verifyAppToken(keys, token, { workspace, id }, Date.now() / 1000)) {
    case "allowed":
      return undefined;
    case "forbidden":
      return { code: "forbidden", detail: "the token is another app's" };
    case "invalid":
      return { code: "invalid_credentials", detail: "" };
  }
}

async function pass(
  env: Env,
  context: ExecutionContext,
  presented: Credential,
  endpoint: PrivateEndpoint,
): Promise<Result<Admission, Refusal>> {
  const known = await credentialsOf(env, context, endpoint.workspace);
  if (known === undefined) return err(CREDENTIALS_UNAVAILABLE);
  const keys = await gatewayKeys(env);
  const { tokens } = known;
  const decide = () => authorizeProxy(keys, tokens, presented, endpoint, Date.now());
  let verdict: ProxyVerdict = await decide();
  if (verdict.kind === "unknown") {
    const found = await lookUp(env, endpoint.workspace, verdict.id);
    if (found === "late") return err(CREDENTIALS_UNAVAILABLE);
    if (found === undefined) return err({ code: "invalid_credentials", detail: "" });
    tokens.set(verdict.id, found);
    verdict = await decide();
  }
  if (verdict.kind === "refused") {
    const detail = "the token is for other environments, apps or paths";
    return err({ code: verdict.code, detail });
  }
  const { id } = verdict;
  reportUse(env, context, endpoint.workspace, id);
  return ok({ token: { id, limits: tokens.get(id)?.limits ?? {} } });
}

/** A token that the snapshot lacks, from its workspace; undefined where it is gone. */
async function lookUp(
  env: Env,
  workspace: string,
  id: string,
): Promise<ProxyToken | undefined | "late"> {
  if (gone.has(id)) return undefined;
  const answer = workspaceStub(env, workspace).proxyToken(id);
  const found = await withinWait<ProxyToken | undefined>(answer);
  if (found === undefined) {
    if (gone.size >= MAX_IDS) gone.clear();
    gone.add(id);
  }
  return found;
}

/** Reports a use behind the request, and at most once in LAST_USE_RESOLUTION_MS: it is not worth a write per request. */
function reportUse(env: Env, context: ExecutionContext, workspace: string, id: string): void {
  const now = Date.now();
  if (now - (usesReported.get(id) ?? 0) < LAST_USE_RESOLUTION_MS) return;
  if (usesReported.size >= MAX_IDS) usesReported.clear();
  usesReported.set(id, now);
  const reported = workspaceStub(env, workspace).noteProxyTokenUse(id);
  context.waitUntil(reported.catch(() => usesReported.delete(id)));
}
