/** Tells requests of the Model Context Protocol over HTTP by their headers. Pure. */
import { acceptedTypes, isJson } from "./accept.ts";

/** The headers of MCP over HTTP (Model Context Protocol, "Transports"). */
const MCP_HEADERS = ["mcp-protocol-version", "mcp-session-id"] as const;

/**
 * Whether a request is one of MCP: a POST of JSON whose client takes JSON and events alike, or any with a header of MCP.
 * @param header the value of a header, by its name in lower case; null where the request has none
 */
export function isMcp(method: string, header: (name: string) => string | null): boolean {
  if (method === "POST" && isJson(header("content-type"))) {
    const accepted = acceptedTypes(header("accept"));
    if (accepted.has("application/json") && accepted.has("text/event-stream")) return true;
  }
  return MCP_HEADERS.some((name) => header(name) !== null);
}
