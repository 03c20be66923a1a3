/**
 * Connect tokens on their way: the query parameter, the cookie that the gateway makes of it, and what is left of both
 * for the app. auth/connect-token.ts makes and checks them. Pure.
 */
import { cookieValues } from "./own-cookies.ts";

/** Names of the parameter, and of the cookie. Programs that were written for Modal know the second one. */
export const CONNECT_NAMES = ["_postern_connect_token", "_modal_connect_token"] as const;

/** Parts of both names, by which nearly every target and header is told. */
const COMMON = "_connect_token";

/** A token, and the name that the client gave it in its URL. */
export interface ConnectParameter {
  readonly name: string;
  readonly token: string;
}

/**
 * Takes the parameter out of a target, which is else as the client sent it, byte for byte.
 * @returns `parameter` is the first one; others go too, since no app may see a token
 */
export function takeConnectParameter(target: string): {
  readonly target: string;
  readonly parameter?: ConnectParameter;
} {
  const question = target.indexOf("?");
  if (question === -1 || !target.includes(COMMON, question)) return { target };
  const others: string[] = [];
  let parameter: ConnectParameter | undefined;
  for (const pair of target.slice(question + 1).split("&")) {
    const name = CONNECT_NAMES.find((known) => pair === known || pair.startsWith(`${known}=`));
    if (name === undefined) others.push(pair);
    else parameter ??= { name, token: pair.slice(name.length + 1) };
  }
  if (parameter === undefined) return { target };
  const path = target.slice(0, question);
  return { target: others.length === 0 ? path : `${path}?${others.join("&")}`, parameter };
}

/** The tokens of a client's cookies. */
export function connectCookieValues(header: string | null): string[] {
  if (header === null || !header.includes(COMMON)) return [];
  return CONNECT_NAMES.flatMap((name) => cookieValues(header, name));
}

/**
 * The Set-Cookie line by which a page that was opened with a token goes on, for this host alone. `Lax` sends it when
 * another site links here, and with no other request of another site.
 */
export function connectCookieLine(
  { name, token }: ConnectParameter,
  maxAgeS: number,
  scheme: "http" | "https",
): string {
  const secure = scheme === "https" ? "; Secure" : "";
  return `${name}=${token}; Path=/; Max-Age=${maxAgeS}; HttpOnly; SameSite=Lax${secure}`;
}

/** A Referer without the parameter: the app gets the address of its own page, on which the token may stand. */
export function withoutConnectParameter(referer: string): string {
  return referer.includes(COMMON) ? takeConnectParameter(referer).target : referer;
}
