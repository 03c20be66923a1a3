/** The Prefer header (RFC 7240), as far as calls know it. Pure. */

export interface Preferences {
  /** `respond-async`: 202 instead of waiting. */
  respondAsync: boolean;
  /** `wait=N`: seconds that the client is willing to wait. */
  waitS: number | undefined;
}

/** Reads the header; what it does not know or cannot read is ignored, as preferences may be. */
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
        if (/^\d{1,6}$/.test(seconds)) preferences.waitS ??= Number(seconds);
        break;
      }
      default:
    }
  }
  return preferences;
}
