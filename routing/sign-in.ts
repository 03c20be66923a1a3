/**
 * Sign-in of people on its way: the gateway's own paths at an endpoint, its cookies, and whom an endpoint lets in.
 * auth/sign-in-cookie.ts and sign-in-state.ts make and check the values. Pure.
 */
import { cookieValues } from "./own-cookies.ts";

/** Where the identity provider sends a person back; the endpoint's author tells it the provider. */
export const SIGNED_IN_PATH = "/_postern/signed-in";

/** Where a person signs in as somebody else. */
export const SIGN_IN_PATH = "/_postern/sign-in";

export const SIGN_OUT_PATH = "/_postern/sign-out";

const PAGES = {
  [SIGNED_IN_PATH]: "signed_in",
  [SIGN_IN_PATH]: "sign_in",
  [SIGN_OUT_PATH]: "sign_out",
} as const;

/** Which of the gateway's own pages a target is; undefined for the app's. */
export function signInPage(target: string): (typeof PAGES)[keyof typeof PAGES] | undefined {
  // Nearly every target ends here.
  if (!target.startsWith("/_postern/")) return undefined;
  const [path = ""] = target.split("?", 1);
  return Object.hasOwn(PAGES, path) ? PAGES[path as keyof typeof PAGES] : undefined;
}

type CookieKind = "person" | "browser";
type Scheme = "http" | "https";

/** Browsers take a `__Host-` cookie of its own host alone: no neighbour below the base domain can plant one. */
const NAMES: Readonly<Record<CookieKind, Readonly<Record<Scheme, string>>>> = {
  /** Who has signed in. */
  person: { https: "__Host-postern_sign_in", http: "postern_sign_in" },
  /** The browser's secret, by which a sign-in ends where it began. */
  browser: { https: "__Host-postern_browser", http: "postern_browser" },
};

/** No app sees them, and none may set them. */
export const SIGN_IN_COOKIES: readonly string[] = Object.values(NAMES).flatMap(
  ({ https, http }) => [https, http],
);

/** Those that say nothing about who somebody is. */
export const BROWSER_COOKIES: readonly string[] = Object.values(NAMES.browser);

/** The values that a client sends under a cookie's name. */
export function signInCookieValues(
  kind: CookieKind,
  header: string | null,
  scheme: Scheme,
): string[] {
  return cookieValues(header, NAMES[kind][scheme]);
}

/**
 * The Set-Cookie line, for this host alone. `Lax` sends it when another site links here, and with no other request of
 * another site.
 * @param maxAgeS 0: the browser forgets it
 */
export function signInCookieLine(
  kind: CookieKind,
  value: string,
  maxAgeS: number,
  scheme: Scheme,
): string {
  const secure = scheme === "https" ? "; Secure" : "";
  const name = NAMES[kind][scheme];
  return `${name}=${value}; Path=/; Max-Age=${maxAgeS}; HttpOnly; SameSite=Lax${secure}`;
}

/**
 * Whether somebody's address is one of an endpoint's patterns. ASCII letters count in either case. An address with a
 * blank or a second `@` is none: programs read such ones differently.
 */
export function isInvited(email: string, patterns: readonly string[]): boolean {
  if (!/^[^\s@]+@[^\s@]+$/.test(email)) return false;
  const address = asciiLowerCase(email);
  return patterns.some((pattern) => {
    const wanted = asciiLowerCase(pattern);
    return wanted.startsWith("*@") ? address.endsWith(wanted.slice(1)) : address === wanted;
  });
}

/** Other letters stay: the lower case of the Kelvin sign is a plain k. */
function asciiLowerCase(text: string): string {
  return text.replaceAll(/[A-Z]/g, (letter) => letter.toLowerCase());
}
