/**
 * The page that a person sees while a container starts. It asks again by itself, until the app answers. Programs never
 * get it: they wait. Pure.
 */
import { problemShape } from "./accept.ts";
import { htmlPage, PAGE_HEADERS } from "./html-page.ts";
import type { CallStatusReport } from "./wire/call-descriptions.ts";

/** A browser waits so long before it gets the page: a start that is shorter needs none. */
export const PAGE_AFTER_MS = 2_000;

const REFRESH_S = 1;

/**
 * Whether a person's browser goes to another page. Browsers say so to hosts that they trust; to another one, by plain
 * HTTP, the field is missing and their wish for HTML counts.
 * @param header the value of a header, by its name in lower case; null where the request has none
 */
export function isNavigation(method: string, header: (name: string) => string | null): boolean {
  if (method !== "GET" || problemShape(header("accept")) !== "page") return false;
  const mode = header("sec-fetch-mode");
  return mode === null || mode === "navigate";
}

interface StartingPage {
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** @param name the endpoint's, for its reader */
export function startingPage(
  name: string,
  { position, etaMs }: Pick<CallStatusReport, "position" | "etaMs">,
): StartingPage {
  const eta =
    etaMs === undefined
      ? "How long it takes is not known yet."
      : `It should answer in about ${secondsInWords(etaMs)}.`;
  const before = position === 0 ? [] : [`Requests before yours: ${position}.`];
  return {
    headers: {
      ...PAGE_HEADERS,
      "cache-control": "no-store",
      "retry-after": `${REFRESH_S}`,
      "x-content-type-options": "nosniff",
    },
    body: htmlPage({
      title: `${name} is starting`,
      heading: `${name} is starting`,
      lines: [eta, ...before, "This page goes on by itself."],
      small: "postern · 503",
      refreshS: REFRESH_S,
    }),
  };
}

function secondsInWords(ms: number): string {
  const seconds = Math.max(1, Math.ceil(ms / 1_000));
  return seconds < 90 ? `${seconds} s` : `${Math.round(seconds / 60)} minutes`;
}
