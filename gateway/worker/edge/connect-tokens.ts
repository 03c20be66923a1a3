/**
 * Connect tokens, at the edge. A request may present one in a header, in its query and in cookies; the first that opens
 * the endpoint counts. No object is asked: the token's signature proves everything.
 */
import { validKeys } from "../../../auth/keys.ts";
import { err, ok, type Result } from "../../../base/result.ts";
import { connectToken } from "../../../auth/credential.ts";
import { type ConnectVerdict, verifyConnectToken } from "../../../auth/connect-token.ts";
import { connectCookieLine, connectCookieValues } from "../../../routing/connect-token.ts";
import { mayUseCookies } from "../../../routing/own-page.ts";
import type { Refusal } from "../../../routing/wire/errors.ts";
import type { Env } from "../../contracts/env.ts";
import { gatewayKeys } from "../../contracts/keys.ts";
import type { Snapshot } from "../../contracts/names.ts";
import type { Admission, EndpointCaller } from "./admission.ts";

/** Whether the caller passes by a connect token; undefined where it presents none. */
export async function admitConnected(
  env: Env,
  caller: EndpointCaller,
  endpoint: Snapshot,
): Promise<Result<Admission, Refusal> | undefined> {
  const { parameter } = caller;
  const header = connectToken(caller.headers);
  const cookies = cookiesOf(caller, endpoint);
  const presented = [header, parameter?.token, ...cookies].filter((token) => token !== undefined);
  if (presented.length === 0) return undefined;
  const keys = validKeys(await gatewayKeys(env)).map(({ connectTokens }) => connectTokens);
  const nowS = Date.now() / 1_000;
  let refused: ConnectVerdict["kind"] = "invalid";
  for (const token of presented) {
    const verdict = await verifyConnectToken(token, keys, endpoint, nowS);
    if (verdict.kind === "allowed") {
      const { userData, expiresAtS } = verdict.claims;
      const isOfUrl = parameter !== undefined && token === parameter.token && token !== header;
      return ok({
        ...(userData !== "" && { userData }),
        ...(isOfUrl && {
          cookie: connectCookieLine(parameter, Math.ceil(expiresAtS - nowS), caller.scheme()),
        }),
      });
    }
    if (verdict.kind === "elsewhere") refused = "elsewhere";
  }
  return refused === "elsewhere"
    ? err({ code: "forbidden", detail: "the connect token is another endpoint's" })
    : err({ code: "invalid_credentials", detail: "" });
}

function cookiesOf(
  { method, headers, authority }: EndpointCaller,
  { settings }: Snapshot,
): string[] {
  const values = connectCookieValues(headers.get("cookie"));
  const counts =
    values.length > 0 && mayUseCookies(method, headers, authority, settings.cors ?? false);
  return counts ? values : [];
}
