/** Whose credentials open an endpoint besides the workspace's own, for both ends. */
import * as z from "zod";
import { DAY_S } from "../../base/units.ts";

/** Of a name or URL of an issuer. */
export const MAX_ISSUER_CHARACTERS = 2_048;

const TEXT = z.string().min(1).max(MAX_ISSUER_CHARACTERS);

/** For the API's document, where a pattern stands for `isHttpUrl`. */
const PATTERN = "^https://([a-z0-9]{1,30}\\.){1,4}[a-z]{2,20}(/[a-z0-9/-]{0,100})?$";

/** Of one endpoint. */
export const MAX_EMAIL_PATTERNS = 100;

/** An address, or every address of a domain. */
export const EMAIL_PATTERN = /^(\*|[^\s@*]{1,64})@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,250}[A-Za-z0-9])?$/;

const EMAIL = z
  .string()
  .max(320)
  .refine((text) => EMAIL_PATTERN.test(text))
  // Spelt for every dialect of regular expressions; other letters than ASCII are taken too.
  .meta({ pattern: "^(\\*|[a-z0-9.+-]{1,64})@([a-z0-9]{1,30}\\.){1,4}[a-z]{2,20}$" });

/** The variable of a secret that has the provider's word: a version's settings have no secret in them. */
export const SECRET_VARIABLE = /^\$(?:[A-Za-z0-9_]{1,128}|\{[A-Za-z0-9_]{1,128}\})$/;

/** Seconds for which a sign-in is good. */
export const MAX_SIGN_IN_S = 30 * DAY_S;

export const AUTH_TABLE = z.object({
  /** Tokens of another issuer (RFC 7519). */
  jwt: z
    .object({
      issuer: TEXT,
      audience: TEXT,
      /** Where the issuer publishes its keys (RFC 7517). */
      jwksUrl: TEXT.refine(isHttpUrl).meta({ pattern: PATTERN }),
    })
    .exactOptional(),
  /** People who sign in at an identity provider (OpenID Connect Core 1.0). */
  oidc: z
    .object({
      issuer: TEXT.refine(isHttpUrl).meta({ pattern: PATTERN }),
      clientId: TEXT,
      /** `$NAME`, a variable of `secrets`. Absent: a client without a secret. */
      clientSecret: z.string().regex(SECRET_VARIABLE).exactOptional(),
      /** Names of secrets of the app's environment. */
      secrets: z.array(z.string().max(64)).max(20).exactOptional(),
      /** Whom the endpoint lets in. */
      emails: z.array(EMAIL).min(1).max(MAX_EMAIL_PATTERNS),
      /** Seconds until somebody signs in again. */
      lifetime: z.number().positive().max(MAX_SIGN_IN_S).exactOptional(),
    })
    .exactOptional(),
});

export type AuthSettings = z.output<typeof AUTH_TABLE>;
export type JwtSettings = NonNullable<AuthSettings["jwt"]>;
export type OidcSettings = NonNullable<AuthSettings["oidc"]>;

export const AUTH_KINDS = ["jwt", "oidc"] as const;

export type AuthKind = (typeof AUTH_KINDS)[number];

/** Who else may call an endpoint with these settings. */
export function authKindsOf(auth: AuthSettings | undefined): AuthKind[] {
  return AUTH_KINDS.filter((kind) => auth?.[kind] !== undefined);
}

/** Whether a URL is one that can be asked: http or https, and no credentials or fragment in it. */
export function isHttpUrl(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const { protocol, username, password, hash } = new URL(text);
  return (protocol === "https:" || protocol === "http:") && username + password + hash === "";
}
