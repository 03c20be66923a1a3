/** The Prefer header (RFC 7240): the preferences that calls know. Pure. */

/** No endpoint's `timeout` is longer. */
const MAX_WAIT_S = 86_400;

export interface Preferences {
  /** `respond-async`: the client wants a 202 instead of waiting. */
  respondAsync: boolean;
  /** `wait=N`: seconds that the client is willing to wait. */
  waitS: number | undefined;
}

/** Parses the header. Preferences that are unknown or malformed are ignored (RFC 7240, 2). */
export function parsePrefer(header: string | null): Preferences {
  const preferences: Preferences = { respondAsync: false, waitS: undefined };
  if (header === null) return preferences;
  for (const part of header.split(",")) {
    const [name = "", value = ""] = (part.split(";", 1)[0] ?? "").split("=");
    switch (name.trim().toLowerCase()) {
      case "respond-async":
        preferences.respondAsync = true;
        break;
      case "wait": {
        const seconds = value.trim().replaceAll('"', "");
        if (/^\d+$/.test(seconds)) preferences.waitS ??= Math.min(Number(seconds), MAX_WAIT_S);
        break;
      }
      default:
    }
  }
  return preferences;
}
