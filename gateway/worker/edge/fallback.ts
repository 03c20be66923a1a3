/**
 * Asks an endpoint's fallback, a server elsewhere, where no box takes a call (routing/fallback.ts says when). The call
 * keeps its own failure where the fallback gives no answer.
 */
import { within } from "../../../base/runtime/within.ts";
import {
  fallbackHeaders,
  fallbackResponseHeaders,
  fallbackUrl,
  mayFallBack,
  withModel,
} from "../../../routing/fallback.ts";
import { type Attempt, progressOf } from "../../contracts/attempt.ts";
import type { OutgoingCall } from "../proxy/open-on-link.ts";
import type { UnsentAttempt } from "../proxy/proxy-request.ts";
import type { EndpointOrigin } from "./endpoint-origin.ts";
import { secretVariables } from "./secret-variables.ts";

/** The fallback's response; undefined where the call does not go there, or gets no answer. */
export async function fallBack(
  { env, snapshot, target }: Pick<EndpointOrigin, "env" | "snapshot" | "target">,
  { request, terms }: Pick<OutgoingCall, "request" | "terms">,
  { attempt, unsent }: UnsentAttempt,
  patienceMs: number,
): Promise<Attempt | undefined> {
  const { fallback } = snapshot.settings;
  if (fallback === undefined || attempt.kind !== "failed" || unsent === undefined) return undefined;
  if (!mayFallBack(attempt.failure.code, progressOf(attempt.cause), terms)) return undefined;
  const url = fallbackUrl(fallback, target);
  if (url === undefined) return undefined;
  const variables = await secretVariables(env, snapshot, fallback.secrets ?? []);
  const headers =
    variables && fallbackHeaders(fallback, (name) => request.headers.get(name), variables);
  if (headers === undefined) return undefined;
  const body = unsent instanceof Uint8Array ? withModel(unsent, fallback) : unsent;
  const cut = new AbortController();
  const asked = fetch(url, {
    method: request.method,
    headers,
    body,
    redirect: "manual",
    signal: cut.signal,
  }).catch(() => undefined);
  const response = await within(patienceMs, asked);
  if (response === undefined) {
    cut.abort();
    return undefined;
  }
  const { status } = response;
  const head = { status, headers: [...fallbackResponseHeaders(response.headers)] };
  return { kind: "response", head, body: response.body, resumable: false };
}
