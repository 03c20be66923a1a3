/** The key that says whose credentials open an endpoint, besides the workspace's own. */
import {
  EMAIL_PATTERN,
  isHttpUrl,
  MAX_EMAIL_PATTERNS,
  MAX_ISSUER_CHARACTERS,
  MAX_SIGN_IN_S,
  SECRET_VARIABLE,
} from "../../../routing/wire/auth-settings.ts";
import { httpUrl, list, name, seconds, table, text } from "../values.ts";
import { key, nonEmptyText } from "./key.ts";

const issuerText = (error: string) => nonEmptyText(error).max(MAX_ISSUER_CHARACTERS, { error });

const providerUrl = () =>
  httpUrl().refine(isHttpUrl, {
    error: "must be an http or https URL without credentials and fragment",
  });

const EMAILS = 'must be a list of addresses, such as ["ada@example.com", "*@example.org"]';

const jwt = table({
  issuer: issuerText("must be the issuer's name, as its tokens say it in iss"),
  audience: issuerText("must be the audience's name, as the tokens say it in aud"),
  jwks_url: providerUrl(),
});

const oidc = table({
  issuer: providerUrl().max(MAX_ISSUER_CHARACTERS),
  client_id: issuerText("must be the client's id at the provider"),
  client_secret: text(
    SECRET_VARIABLE,
    'must be "$NAME", a variable of one of its secrets: the file is no place for a secret',
  ).optional(),
  secrets: list(name(), "must be a list of names of secrets").optional(),
  emails: list(text(EMAIL_PATTERN, EMAILS), EMAILS).max(MAX_EMAIL_PATTERNS, {
    error: `must be at most ${MAX_EMAIL_PATTERNS} addresses`,
  }),
  lifetime: seconds(60, MAX_SIGN_IN_S).optional(),
}).refine(
  ({ client_secret: secret, secrets }) => (secret === undefined) === (secrets === undefined),
  { error: "must have client_secret together with the secrets that have its variable" },
);

export const AUTH_KEY = key(
  table({ jwt: jwt.optional(), oidc: oidc.optional() }).refine(
    (auth) => auth.jwt !== undefined || auth.oidc !== undefined,
    { error: "must have jwt, oidc or both" },
  ),
  {
    default: "none",
    meaning:
      "Others that may call the endpoint, besides the holders of the workspace's tokens: it is private then. `jwt`: the tokens of another issuer ([tokens.md](tokens.md#tokens-of-another-issuer)). `oidc`: people with these addresses, who sign in at an identity provider in their browser ([sign-in.md](sign-in.md)). The app is told who they are by `X-Verified-User-Data`.",
    example:
      '{ oidc = { issuer = "https://id.example.com", client_id = "postern", client_secret = "$OIDC_SECRET", secrets = ["oidc"], emails = ["*@example.com"] } }',
  },
);
