/** Which requests ask for a WebSocket (RFC 6455, 4.2.1). Pure. */

/** A runtime's `Headers`, or anything that answers like it. */
interface HandshakeHeaders {
  get(name: string): string | null;
}

/**
 * Whether a request has every mark of a WebSocket handshake. One that lacks any is an ordinary request: its
 * method and body reach the app, and its `Upgrade` ends here, as hop-by-hop fields do.
 * @param method in upper case
 */
export function isWebSocketHandshake(method: string, headers: HandshakeHeaders): boolean {
  // Nearly every request ends here.
  const upgrade = headers.get("upgrade");
  if (upgrade === null) return false;
  return (
    method === "GET" &&
    // Of a list, RFC 9110, 7.8 lets a server ignore all. workerd does, and a 101 would then be its bare 500.
    upgrade.trim().toLowerCase() === "websocket" &&
    hasListMember(headers.get("connection") ?? "", "upgrade") &&
    headers.get("sec-websocket-version")?.trim() === "13" &&
    KEY.test(headers.get("sec-websocket-key")?.trim() ?? "")
  );
}

/** 16 bytes in Base64: 22 characters and the padding; the last one carries two bits alone. */
const KEY = /^[A-Za-z0-9+/]{21}[AQgw]==$/;

/** Whether a comma-separated list has a member, in any case. @param member in lower case */
function hasListMember(list: string, member: string): boolean {
  return list.split(",").some((part) => part.trim().toLowerCase() === member);
}
