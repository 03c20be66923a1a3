/** Makes the settings of an endpoint's `auth`: names as the edge has them. */
import type { AuthSettings } from "../../routing/wire/auth-settings.ts";
import type { EndpointTable } from "./keys.ts";
import { optional } from "./optional.ts";

type AuthTable = NonNullable<EndpointTable["auth"]>;

export function resolveAuth({ jwt, oidc }: AuthTable): AuthSettings {
  return {
    ...optional("jwt", jwt && resolveJwt(jwt)),
    ...optional("oidc", oidc && resolveOidc(oidc)),
  };
}

function resolveJwt({ issuer, audience, jwks_url: jwksUrl }: NonNullable<AuthTable["jwt"]>) {
  return { issuer, audience, jwksUrl };
}

function resolveOidc({
  issuer,
  client_id: clientId,
  client_secret: clientSecret,
  secrets,
  emails,
  lifetime,
}: NonNullable<AuthTable["oidc"]>) {
  return {
    issuer,
    clientId,
    ...optional("clientSecret", clientSecret),
    ...optional("secrets", secrets),
    emails,
    ...optional("lifetime", lifetime),
  };
}
