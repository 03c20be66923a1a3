/** The settings of an endpoint that the edge needs, alike for an app that a box announces and for a deployed one. */
import type { EndpointSettings } from "../../routing/wire/messages.ts";
import type { EndpointConfig } from "./app-config.ts";
import { optional } from "./optional.ts";

export function edgeSettings(endpoint: EndpointConfig): EndpointSettings {
  const { requiresProxyAuth, requiresAppToken, auth, timeout, resultTtl } = endpoint;
  const { requestTimeout, lifeSigns, api, cors, affinity, fallback, paths, rateLimit } = endpoint;
  const { customDomains } = endpoint;
  return {
    requiresProxyAuth,
    ...(requiresAppToken ? { requiresAppToken } : {}),
    ...optional("auth", auth),
    timeout,
    resultTtl,
    ...optional("requestTimeout", requestTimeout),
    ...(lifeSigns ? { lifeSigns } : {}),
    ...optional("api", api),
    ...(cors === false ? {} : { cors }),
    ...optional("affinity", affinity),
    ...optional("fallback", fallback),
    ...optional("paths", paths),
    ...optional("rateLimit", rateLimit),
    ...(customDomains === undefined ? {} : { customDomains: [...customDomains] }),
  };
}
