/**
 * Sign-in of people at an endpoint, at the edge (OpenID Connect Core 1.0, 3.1): a browser without a credential is sent to
 * the endpoint's identity provider, and comes back with a code. The gateway makes a cookie of it, by which all that the
 * page asks for passes. The gateway stores no sign-in: the state of one that has begun is sealed into its URL, and a
 * person is signed into a cookie. The workspace alone counts how often its sign-ins were revoked.
 */
import { claimsText } from "../../../auth/jwt.ts";
import { validKeys } from "../../../auth/keys.ts";
import { parsePerson, signSignInCookie, verifySignInCookie } from "../../../auth/sign-in-cookie.ts";
import type { SignInPlace } from "../../../auth/sign-in-place.ts";
import { openSignInState, sealSignInState, STATE_ID_BYTES } from "../../../auth/sign-in-state.ts";
import { err, ok, type Result } from "../../../base/result.ts";
import { withoutPort } from "../../../routing/host.ts";
import { mayUseCookies } from "../../../routing/own-page.ts";
import {
  isInvited,
  signInCookieLine,
  signInCookieValues,
  signInPage,
  SIGNED_IN_PATH,
} from "../../../routing/sign-in.ts";
import type { OidcSettings } from "../../../routing/wire/auth-settings.ts";
import type { Refusal } from "../../../routing/wire/errors.ts";
import type { Env } from "../../contracts/env.ts";
import { gatewayKeys } from "../../contracts/keys.ts";
import type { Snapshot } from "../../contracts/names.ts";
import type { Admission, EndpointCaller } from "./admission.ts";
import {
  authorizationUrl,
  claimsOfAnswer,
  providerOf,
  type SignInDoor,
} from "./identity-provider.ts";
import { CREDENTIALS_UNAVAILABLE, credentialsOf } from "./workspace-credentials.ts";
import { goOn, goTo, isPersonsPage, refuse, type SignInRequest, signOut } from "./sign-in-pages.ts";

/** A working day. */
const DEFAULT_LIFETIME_S = 43_200;

/** A person at the provider's page has so long. */
const STATE_LIFETIME_S = 600;

/** A state travels in a URL, and some servers take 2,048 characters. A person with a longer target goes on at `/`. */
const MAX_TARGET_CHARACTERS = 700;

const SECRET_BYTES = 32;
const BROWSER_SECRET = /^[A-Za-z0-9_-]{43}$/;

/** Whether the caller passes by the cookie of a sign-in; undefined where it has none that counts. */
export async function admitSignedIn(
  env: Env,
  execution: ExecutionContext,
  { caller, snapshot }: Pick<SignInRequest, "caller" | "snapshot">,
  oidc: OidcSettings,
): Promise<Result<Admission, Refusal> | undefined> {
  const { method, headers, authority } = caller;
  const values = signInCookieValues("person", headers.get("cookie"), caller.scheme());
  if (values.length === 0) return undefined;
  if (!mayUseCookies(method, headers, authority, snapshot.settings.cors ?? false)) return undefined;
  const known = await credentialsOf(env, execution, snapshot.workspace);
  if (known === undefined) return err(CREDENTIALS_UNAVAILABLE);
  const keys = validKeys(await gatewayKeys(env)).map(({ signInCookies }) => signInCookies);
  const now = { seconds: Date.now() / 1_000, round: known.signInRound };
  const place = placeOf(caller, snapshot, oidc);
  for (const value of values) {
    const person = await verifySignInCookie(keys, place, value, now);
    // Somebody who is taken out of `emails` is out at once.
    if (person !== undefined && isInvited(person.email, oidc.emails)) {
      return ok({ userData: claimsText({ iss: oidc.issuer, ...person }) });
    }
  }
  return undefined;
}

/** Sends a person's browser, which was refused, to the identity provider; undefined for other callers. */
export async function beginSignIn(
  asked: SignInRequest,
  { code }: Refusal,
): Promise<Response | undefined> {
  const { caller, snapshot } = asked;
  const { auth, requiresAppToken } = snapshot.settings;
  const isLackingOne = code === "missing_credentials" || code === "invalid_credentials";
  if (auth?.oidc === undefined || requiresAppToken === true || !isLackingOne) return undefined;
  if (!isPersonsPage(caller)) return undefined;
  return await goToProvider(asked, auth.oidc, { target: caller.target, asksAgain: false });
}

interface SignInWish {
  /** Where the person goes on. */
  readonly target: string;
  /** The provider asks also a person whom it knows. */
  readonly asksAgain: boolean;
}

async function goToProvider(
  { context, env, execution, caller, snapshot }: SignInRequest,
  oidc: OidcSettings,
  { target, asksAgain }: SignInWish,
): Promise<Response> {
  const door = doorOf({ env, execution, caller, snapshot }, oidc);
  const provider = await providerOf(door);
  if (!provider.ok) return context.fail(provider.error);
  const scheme = caller.scheme();
  // The same for all tabs of a browser, which may sign in at a time.
  const [known = secret()] = browserSecrets(caller);
  const state = {
    target: target.length <= MAX_TARGET_CHARACTERS ? target : "/",
    nonce: secret(),
    verifier: secret(),
    expiresAtS: Math.floor(Date.now() / 1_000) + STATE_LIFETIME_S,
  };
  const sealed = await sealSignInState(
    await gatewayKeys(env),
    placeOf(caller, snapshot, oidc),
    known,
    state,
    crypto.getRandomValues(new Uint8Array(STATE_ID_BYTES)),
  );
  const location = await authorizationUrl(provider.value, door, state, sealed, asksAgain);
  return goTo(context, location, signInCookieLine("browser", known, STATE_LIFETIME_S, scheme));
}

/** The gateway's own pages of an endpoint whose people sign in; undefined for any other request. */
export async function serveSignIn(asked: SignInRequest): Promise<Response | undefined> {
  const { caller, snapshot } = asked;
  const { oidc } = snapshot.settings.auth ?? {};
  if (oidc === undefined) return undefined;
  switch (signInPage(caller.target)) {
    case "signed_in":
      return await endSignIn(asked, oidc);
    case "sign_in":
      return isPersonsPage(caller)
        ? await goToProvider(asked, oidc, { target: "/", asksAgain: true })
        : asked.context.refuse("missing_credentials", "");
    case "sign_out":
      return signOut(asked);
    case undefined:
      return undefined;
  }
}

/** The person comes back from the provider. */
async function endSignIn(asked: SignInRequest, oidc: OidcSettings): Promise<Response> {
  const { context, env, execution, caller, snapshot } = asked;
  if (caller.method !== "GET") return context.refuse("method_not_allowed", "it takes GET");
  const answer = new URLSearchParams(caller.target.slice(caller.target.indexOf("?") + 1));
  const place = placeOf(caller, snapshot, oidc);
  const keys = await gatewayKeys(env);
  const nowS = Date.now() / 1_000;
  const opened = await Promise.all(
    browserSecrets(caller).map(
      async (browser) =>
        await openSignInState(keys, place, browser, answer.get("state") ?? "", nowS),
    ),
  );
  const state = opened.find((found) => found !== undefined);
  if (state === undefined) {
    const detail =
      "it took longer than ten minutes, began in another browser, or this browser keeps no cookies";
    return refuse(asked, { code: "sign_in_failed", detail });
  }
  const claims = await claimsOfAnswer(doorOf(asked, oidc), answer, state);
  if (!claims.ok) return refuse(asked, claims.error);
  const person = parsePerson(claims.value);
  if (person === undefined) {
    const detail = "the identity provider tells no e-mail address of this person";
    return refuse(asked, { code: "sign_in_forbidden", detail });
  }
  const refusal = refusalOfPerson(person.email, claims.value, oidc);
  if (refusal !== undefined) return refuse(asked, refusal);
  const known = await credentialsOf(env, execution, snapshot.workspace);
  if (known === undefined) return context.fail(CREDENTIALS_UNAVAILABLE);
  const lifetimeS = Math.ceil(oidc.lifetime ?? DEFAULT_LIFETIME_S);
  const until = { seconds: Math.floor(nowS) + lifetimeS, round: known.signInRound };
  const value = await signSignInCookie(keys.signInCookies, place, person, until);
  const scheme = caller.scheme();
  const line = signInCookieLine("person", value, lifetimeS, scheme);
  return goOn(asked, `${scheme}://${caller.authority}${state.target}`, line);
}

/** Why a person whom the provider knows may not use the endpoint; undefined where they may. */
function refusalOfPerson(
  email: string,
  claims: Readonly<Record<string, unknown>>,
  { emails }: OidcSettings,
): Refusal | undefined {
  const code = "sign_in_forbidden";
  // Anybody may have written an address that is not verified.
  if (claims["email_verified"] !== true) {
    return { code, detail: `the identity provider has not verified ${email}` };
  }
  return isInvited(email, emails) ? undefined : { code, detail: `${email} is not invited` };
}

function doorOf(
  { env, execution, caller, snapshot }: Omit<SignInRequest, "context">,
  oidc: OidcSettings,
): SignInDoor {
  const redirectUri = `${caller.scheme()}://${caller.authority}${SIGNED_IN_PATH}`;
  return { env, execution, snapshot, oidc, redirectUri };
}

function placeOf(
  { authority }: EndpointCaller,
  { workspace, environment, app, endpoint }: Snapshot,
  { issuer, clientId }: OidcSettings,
): SignInPlace {
  const host = withoutPort(authority);
  return { workspace, environment, app, endpoint, host, issuer, clientId };
}

function browserSecrets(caller: EndpointCaller): string[] {
  const values = signInCookieValues("browser", caller.headers.get("cookie"), caller.scheme());
  return values.filter((value) => BROWSER_SECRET.test(value));
}

/** 256 random bits in base64url. */
function secret(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(SECRET_BYTES));
  return btoa(String.fromCharCode(...bytes))
    .replaceAll("+", "-")
    .replaceAll("/", "_")
    .replaceAll("=", "");
}
