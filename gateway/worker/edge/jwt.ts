/** Tokens of another issuer, at the edge: an endpoint that trusts the issuer is opened by them. */
import { err, ok, type Result } from "../../../base/result.ts";
import { jwtOf } from "../../../auth/credential.ts";
import {
  claimsText,
  JwtKeys,
  type JwtTrust,
  type JwtVerdict,
  verifyJwt,
} from "../../../auth/jwt.ts";
import type { Refusal } from "../../../routing/wire/errors.ts";
import type { JwtSettings } from "../../../routing/wire/auth-settings.ts";
import type { Env } from "../../contracts/env.ts";
import type { Admission, EndpointCaller } from "./admission.ts";
import { fetchIdentityText } from "./identity-fetch.ts";
import { PublishedDocuments } from "./published-documents.ts";

const keySets = new PublishedDocuments((text) => JwtKeys.parse(text));

/** Whether the caller passes by a token of the issuer; undefined where it presents none. */
export async function admitByJwt(
  env: Env,
  context: ExecutionContext,
  { headers }: EndpointCaller,
  trust: JwtSettings,
): Promise<Result<Admission, Refusal> | undefined> {
  const token = jwtOf(headers);
  if (token === undefined) return undefined;
  const verdict = await verifyByPublishedKeys(env, context, token, trust);
  if (verdict === undefined) return err(NO_KEYS);
  return verdict.kind === "valid"
    ? ok({ userData: claimsText(verdict.claims) })
    : err({ code: "invalid_credentials", detail: "" });
}

/** Checks a token by the keys that its issuer publishes; undefined where they can't be had. */
export async function verifyByPublishedKeys(
  env: Env,
  context: ExecutionContext,
  token: string,
  trust: JwtTrust & { readonly jwksUrl: string },
): Promise<JwtVerdict | undefined> {
  const { jwksUrl } = trust;
  const fetchKeys = async (url: string) => await fetchIdentityText(env, url);
  const waitUntil = (work: Promise<unknown>) => context.waitUntil(work);
  const keys = await keySets.find(jwksUrl, fetchKeys, waitUntil);
  if (keys === undefined) return undefined;
  const nowS = Date.now() / 1_000;
  const verdict = await verifyJwt(token, trust, keys, nowS);
  if (verdict.kind !== "unknown_key") return verdict;
  const newer = await keySets.findNewer(jwksUrl, fetchKeys, waitUntil);
  return newer === undefined || newer === keys
    ? verdict
    : await verifyJwt(token, trust, newer, nowS);
}

const NO_KEYS: Refusal = {
  code: "unavailable",
  detail: "the issuer's keys can't be had: its jwks_url does not answer, or is not public",
};
