/**
 * The description that an identity provider publishes of itself (OpenID Connect Discovery 1.0, 3), as far as a sign-in
 * needs it. Fetches nothing.
 */
import { isHttpUrl } from "../routing/wire/auth-settings.ts";

/** With the names of the standard. A type, since libraries take those that may have more members. */
export type OidcProvider = {
  readonly issuer: string;
  readonly authorization_endpoint: string;
  readonly token_endpoint: string;
  readonly jwks_uri: string;
  readonly userinfo_endpoint?: string;
  readonly token_endpoint_auth_methods_supported?: string[];
  readonly id_token_signing_alg_values_supported?: string[];
  /** RFC 9207: each answer names its issuer. */
  readonly authorization_response_iss_parameter_supported?: boolean;
};

/** Where a provider describes itself (4.1). */
export function discoveryUrl(issuer: string): string {
  return `${issuer.replace(/\/$/, "")}/.well-known/openid-configuration`;
}

/** The description of a provider; undefined for what is none. Its `issuer` is for the reader to compare (4.3). */
export function parseOidcProvider(text: string): OidcProvider | undefined {
  let given: Record<string, unknown>;
  try {
    given = JSON.parse(text) as Record<string, unknown>;
  } catch {
    return undefined;
  }
  if (typeof given !== "object" || given === null) return undefined;
  const { issuer, authorization_endpoint, token_endpoint, jwks_uri } = given;
  if (typeof issuer !== "string" || !isUrl(authorization_endpoint)) return undefined;
  if (!isUrl(token_endpoint) || !isUrl(jwks_uri)) return undefined;
  const {
    userinfo_endpoint,
    token_endpoint_auth_methods_supported: methods,
    id_token_signing_alg_values_supported: algorithms,
    authorization_response_iss_parameter_supported: namesIssuer,
  } = given;
  return {
    issuer,
    authorization_endpoint,
    token_endpoint,
    jwks_uri,
    ...(isUrl(userinfo_endpoint) && { userinfo_endpoint }),
    ...(isTexts(methods) && { token_endpoint_auth_methods_supported: methods }),
    ...(isTexts(algorithms) && { id_token_signing_alg_values_supported: algorithms }),
    ...(namesIssuer === true && { authorization_response_iss_parameter_supported: true }),
  };
}

function isUrl(value: unknown): value is string {
  return typeof value === "string" && isHttpUrl(value);
}

function isTexts(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((text) => typeof text === "string");
}
