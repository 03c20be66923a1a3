/**
 * Connect tokens (`pct-…`): one opens one endpoint until it expires, and carries a text for the app. The gateway stores
 * none: a token is signed claims, and holds no secret but its own signature. Its holder can read it.
 */
import { isUserData } from "../routing/wire/user-data.ts";
import { type ClaimsKey, SignedClaims } from "./signed-claims.ts";

/** The endpoint that a token opens, by its names: a later version of the app is the same endpoint. */
export interface ConnectEndpoint {
  readonly workspace: string;
  readonly environment: string;
  readonly app: string;
  /** `<environment>/<app>/<function>`. */
  readonly endpoint: string;
}

export interface ConnectClaims extends ConnectEndpoint {
  /** For the app (routing/wire/user-data.ts); empty: nothing is told. */
  readonly userData: string;
  /** Seconds since 1970. */
  readonly expiresAtS: number;
}

/** `elsewhere`: ours, and of another endpoint of the workspace. `invalid`: forged, expired or another workspace's. */
export type ConnectVerdict =
  | { readonly kind: "allowed"; readonly claims: ConnectClaims }
  | { readonly kind: "elsewhere" | "invalid" };

const PREFIX = "pct-";

/** A cookie of 4,096 bytes holds it (RFC 6265, 6.1), with its name. */
const MAX_TOKEN_CHARACTERS = 4_000;

const MAX_NAME_CHARACTERS = 640;

const TOKENS = new SignedClaims("postern-connect", MAX_TOKEN_CHARACTERS - PREFIX.length);

/**
 * Makes a token.
 * @throws RangeError for claims that `verifyConnectToken` would not accept: names or user data that are too long together
 */
export async function signConnectToken(claims: ConnectClaims, key: ClaimsKey): Promise<string> {
  const { workspace, environment, app, endpoint, userData, expiresAtS: exp } = claims;
  const payload = { workspace, environment, app, endpoint, userData, exp };
  const token = PREFIX + (await TOKENS.sign(payload, key));
  if (parseClaims(payload) === undefined || token.length > MAX_TOKEN_CHARACTERS) {
    throw new RangeError("these claims make no connect token");
  }
  return token;
}

/**
 * Whether a token opens an endpoint. Never throws.
 * @param keys any of which may have signed it
 * @param nowS seconds since 1970
 */
export async function verifyConnectToken(
  token: string,
  keys: readonly ClaimsKey[],
  at: ConnectEndpoint,
  nowS: number,
): Promise<ConnectVerdict> {
  if (!token.startsWith(PREFIX)) return { kind: "invalid" };
  const payload = await TOKENS.verify(token.slice(PREFIX.length), ...keys);
  const claims = payload && parseClaims(payload);
  if (claims === undefined || claims.workspace !== at.workspace || nowS >= claims.expiresAtS) {
    return { kind: "invalid" };
  }
  const { environment, app, endpoint } = claims;
  const isHere = environment === at.environment && app === at.app && endpoint === at.endpoint;
  return isHere ? { kind: "allowed", claims } : { kind: "elsewhere" };
}

function parseClaims(payload: Readonly<Record<string, unknown>>): ConnectClaims | undefined {
  const { workspace, environment, app, endpoint, userData, exp } = payload;
  if (!isName(workspace) || !isName(environment) || !isName(app) || !isName(endpoint)) {
    return undefined;
  }
  if (typeof userData !== "string" || !isUserData(userData)) return undefined;
  if (typeof exp !== "number" || !Number.isSafeInteger(exp) || exp < 0) return undefined;
  return { workspace, environment, app, endpoint, userData, expiresAtS: exp };
}

function isName(value: unknown): value is string {
  return typeof value === "string" && value !== "" && value.length <= MAX_NAME_CHARACTERS;
}
