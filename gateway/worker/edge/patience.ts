/** How long the client of a request waits for response headers before it is sent to a result URL. */
import { isHeld } from "../../../routing/held-requests.ts";
import { parsePrefer } from "../../../routing/prefer.ts";
import type { EndpointSettings } from "../../../routing/wire/messages.ts";
import { type Env, requestTimeoutMs } from "../../contracts/env.ts";
import { affinityOf } from "./session-place.ts";

/** Of a client that is held: its call ends before, since no endpoint's `timeout` is longer. */
export const HELD_MS = 86_400_000;

/**
 * Milliseconds of a client's patience, from the last byte of its request on. The client's own wish comes
 * first, then an endpoint that redirects nobody, then what is known of the client, then the numbers.
 */
export function patienceMs(env: Env, settings: EndpointSettings, request: Request): number {
  const { headers, method } = request;
  const { respondAsync, waitS } = parsePrefer(headers.get("prefer"));
  if (waitS !== undefined) return waitS * 1_000;
  if (respondAsync) return 0;
  const { requestTimeout } = settings;
  if (requestTimeout === false) return HELD_MS;
  // Clients of MCP follow no redirect of a POST.
  if (affinityOf(settings)?.presets.has("mcp") === true) return HELD_MS;
  if (isHeld(method, (name) => headers.get(name))) return HELD_MS;
  return requestTimeout === undefined ? requestTimeoutMs(env) : Math.round(requestTimeout * 1_000);
}
