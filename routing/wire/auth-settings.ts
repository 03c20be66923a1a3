/** Whose credentials open an endpoint besides the workspace's own, for both ends. */
import * as z from "zod";

/** Of a name or URL of an issuer. */
export const MAX_ISSUER_CHARACTERS = 2_048;

const TEXT = z.string().min(1).max(MAX_ISSUER_CHARACTERS);

/** For the API's document, where a pattern stands for `isHttpUrl`. */
const PATTERN = "^https://([a-z0-9]{1,30}\\.){1,4}[a-z]{2,20}(/[a-z0-9/-]{0,100})?$";

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
});

export type AuthSettings = z.output<typeof AUTH_TABLE>;
export type JwtSettings = NonNullable<AuthSettings["jwt"]>;

/** Whether a URL is one that can be asked: http or https, and no credentials or fragment in it. */
export function isHttpUrl(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const { protocol, username, password, hash } = new URL(text);
  return (protocol === "https:" || protocol === "http:") && username + password + hash === "";
}
