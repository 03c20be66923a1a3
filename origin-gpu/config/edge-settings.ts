/** What the edge is told of an endpoint, however its app got there: announced by a box, or deployed. */
import type { EndpointSettings } from "../../routing/wire/messages.ts";
import type { EndpointConfig } from "./app-config.ts";

export function edgeSettings(endpoint: EndpointConfig): EndpointSettings {
  const { requiresProxyAuth, timeout, resultTtl, cors } = endpoint;
  return { requiresProxyAuth, timeout, resultTtl, ...(cors === false ? {} : { cors }) };
}
