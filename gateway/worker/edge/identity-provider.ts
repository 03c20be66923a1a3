/**
 * An endpoint's identity provider, as the gateway asks it for a sign-in: what it says of itself, and who the person is that
 * it has sent back (OpenID Connect Core 1.0, 3.1.3). `oauth4webapi` has the protocol's rules; the token's signature is
 * checked as those of other JWTs are.
 */
import * as oauth from "oauth4webapi";
import { discoveryUrl, type OidcProvider, parseOidcProvider } from "../../../auth/oidc-provider.ts";
import type { SignInState } from "../../../auth/sign-in-state.ts";
import { err, ok, type Result } from "../../../base/result.ts";
import type { OidcSettings } from "../../../routing/wire/auth-settings.ts";
import type { ErrorCode, Refusal } from "../../../routing/wire/errors.ts";
import { withVariables } from "../../../routing/wire/fallback.ts";
import type { Env } from "../../contracts/env.ts";
import type { Snapshot } from "../../contracts/names.ts";
import { fetchIdentityText, identityFetch, IdentityUnreachable } from "./identity-fetch.ts";
import { verifyByPublishedKeys } from "./jwt.ts";
import { PublishedDocuments } from "./published-documents.ts";
import { secretVariables } from "./secret-variables.ts";

const providers = new PublishedDocuments(parseOidcProvider);

/** OpenID Connect Core 1.0, 5.4. */
const SCOPE = "openid email profile";

/** A provider's words about somebody, unjudged. */
type Claims = Readonly<Record<string, unknown>>;

/** An endpoint whose people sign in. */
export interface SignInDoor {
  readonly env: Env;
  readonly execution: ExecutionContext;
  readonly snapshot: Snapshot;
  readonly oidc: OidcSettings;
  /** Where the provider sends a person back. */
  readonly redirectUri: string;
}

/** The provider's description of itself. */
export async function providerOf({
  env,
  execution,
  oidc: { issuer },
}: SignInDoor): Promise<Result<OidcProvider, Refusal>> {
  const provider = await providers.find(
    discoveryUrl(issuer),
    async (url) => await fetchIdentityText(env, url),
    (work) => execution.waitUntil(work),
  );
  if (provider === undefined) {
    const detail = `${issuer} does not answer, or is not public`;
    return err({ code: "identity_provider_unavailable", detail });
  }
  // Discovery 1.0, 4.3: else one provider could pass for another.
  if (provider.issuer !== issuer) {
    const detail = `the provider calls itself ${provider.issuer}, not ${issuer}`;
    return err({ code: "identity_provider_error", detail });
  }
  return ok(provider);
}

/**
 * The provider's page at which a person signs in (3.1.2.1).
 * @param asksAgain also one whom it knows: they may want to be somebody else
 */
export async function authorizationUrl(
  { authorization_endpoint }: OidcProvider,
  { oidc: { clientId }, redirectUri }: SignInDoor,
  { nonce, verifier }: Pick<SignInState, "nonce" | "verifier">,
  state: string,
  asksAgain: boolean,
): Promise<string> {
  const url = new URL(authorization_endpoint);
  const parameters = {
    response_type: "code",
    client_id: clientId,
    redirect_uri: redirectUri,
    scope: SCOPE,
    state,
    nonce,
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
    code_challenge_method: "S256",
    ...(asksAgain && { prompt: "login" }),
  };
  for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value);
  return url.href;
}

/**
 * The claims of the person that the provider has sent back, who are proved to be the provider's words about them.
 * @param answer the query that the provider's redirect has
 * @param state what began the sign-in, opened
 */
export async function claimsOfAnswer(
  door: SignInDoor,
  answer: URLSearchParams,
  { nonce, verifier }: SignInState,
): Promise<Result<Claims, Refusal>> {
  const found = await providerOf(door);
  if (!found.ok) return found;
  const provider = found.value;
  const authentication = await clientAuthentication(door, provider);
  if (authentication === undefined) return wrong("the secret of client_secret can't be had");
  const { env, execution, oidc, redirectUri } = door;
  const client: oauth.Client = { client_id: oidc.clientId };
  const options = requestOptions(env);
  try {
    const state = answer.get("state") ?? undefined;
    const parameters = oauth.validateAuthResponse(provider, client, answer, state);
    const response = await oauth.authorizationCodeGrantRequest(
      provider,
      client,
      authentication,
      parameters,
      redirectUri,
      verifier,
      options,
    );
    const tokens = await oauth.processAuthorizationCodeResponse(provider, client, response, {
      expectedNonce: nonce,
      requireIdToken: true,
    });
    const trust = { issuer: oidc.issuer, audience: oidc.clientId, jwksUrl: provider.jwks_uri };
    const verdict = await verifyByPublishedKeys(env, execution, tokens.id_token ?? "", trust);
    if (verdict === undefined) {
      return err({ code: "identity_provider_unavailable", detail: "its keys can't be had" });
    }
    if (verdict.kind !== "valid") return wrong("its token is not signed by one of its keys");
    const { claims } = verdict;
    const isWhole = "email" in claims && "email_verified" in claims;
    if (isWhole || provider.userinfo_endpoint === undefined) return ok(claims);
    // 5.4: a provider may tell these to the holder of the access token alone.
    const told = await oauth.userInfoRequest(provider, client, tokens.access_token, options);
    const sub = String(claims["sub"]);
    return ok(await oauth.processUserInfoResponse(provider, client, sub, told));
  } catch (error) {
    return err(refusalOf(error));
  }
}

/** How the gateway proves itself to the provider (9); undefined where its secret can't be had. */
async function clientAuthentication(
  { env, snapshot, oidc: { clientSecret, secrets = [] } }: SignInDoor,
  { token_endpoint_auth_methods_supported: methods }: OidcProvider,
): Promise<oauth.ClientAuth | undefined> {
  if (clientSecret === undefined) return oauth.None();
  const variables = await secretVariables(env, snapshot, secrets);
  const secret = variables && withVariables(clientSecret, variables);
  if (secret === undefined || secret === "") return undefined;
  // Discovery 1.0, 3: without a list it is the first one.
  const isBasic = methods === undefined || methods.includes("client_secret_basic");
  return isBasic ? oauth.ClientSecretBasic(secret) : oauth.ClientSecretPost(secret);
}

function requestOptions(env: Env) {
  return {
    [oauth.customFetch]: async (
      url: string,
      { method, headers, body }: oauth.CustomFetchOptions<string, URLSearchParams | undefined>,
    ) => {
      // Without a body the library says null, whatever its types say.
      const text = body instanceof URLSearchParams ? { body: body.toString() } : {};
      return await identityFetch(env, url, { method, headers, ...text });
    },
    // identity-fetch.ts knows which hosts may be asked by plain HTTP.
    [oauth.allowInsecureRequests]: true,
  };
}

/**
 * Why a sign-in failed. The library has a class for each party whose fault it is.
 * @throws what is no fault of theirs
 */
function refusalOf(error: unknown): Refusal {
  if (error instanceof oauth.AuthorizationResponseError) {
    return { code: "sign_in_failed", detail: `the provider says ${wordOf(error.error)}` };
  }
  if (error instanceof oauth.ResponseBodyError) {
    // RFC 6749, 5.2: a code that was used, expired, or is somebody else's.
    const code: ErrorCode =
      error.error === "invalid_grant" ? "sign_in_failed" : "identity_provider_error";
    return { code, detail: `the provider says ${wordOf(error.error)}` };
  }
  if (error instanceof oauth.OperationProcessingError) {
    return { code: "identity_provider_error", detail: error.message.slice(0, 200) };
  }
  if (
    error instanceof oauth.UnsupportedOperationError ||
    error instanceof oauth.WWWAuthenticateChallengeError
  ) {
    return { code: "identity_provider_error", detail: "" };
  }
  if (error instanceof IdentityUnreachable) {
    return { code: "identity_provider_unavailable", detail: "" };
  }
  throw error;
}

/** An error code of the provider's, for a page. RFC 6749, 4.1.2.1: printable ASCII. */
function wordOf(code: string): string {
  return /^[\w.-]{1,64}$/.test(code) ? code : "no";
}

function wrong(detail: string): Result<never, Refusal> {
  return err({ code: "identity_provider_error", detail });
}
