/** The answers of a sign-in that a person sees: why it failed, the page to leave by, and the way to another page. */
import { htmlPage, PAGE_HEADERS } from "../../../routing/html-page.ts";
import { mayUseCookies } from "../../../routing/own-page.ts";
import { SIGN_IN_PATH, SIGN_OUT_PATH, signInCookieLine } from "../../../routing/sign-in.ts";
import { isNavigation } from "../../../routing/starting-page.ts";
import { ERRORS, type Refusal } from "../../../routing/wire/errors.ts";
import type { Env } from "../../contracts/env.ts";
import type { Snapshot } from "../../contracts/names.ts";
import type { EndpointCaller } from "./admission.ts";
import type { RequestContext } from "./request-context.ts";

/** The URL that the browser comes from has a code in it, or what the person does there. */
const HIDDEN = "no-referrer";

/** A request at an endpoint, as a sign-in sees it. */
export interface SignInRequest {
  readonly context: RequestContext;
  readonly env: Env;
  readonly execution: ExecutionContext;
  readonly caller: EndpointCaller;
  readonly snapshot: Snapshot;
}

/** A page to sign out at, and the end of a sign-in: a POST of this page, so that no other page ends it. */
export function signOut({ context, caller }: SignInRequest): Response {
  const { method, headers, authority } = caller;
  if (method === "GET" || method === "HEAD") {
    return page(context, 200, {
      heading: "Sign out",
      lines: [`You leave ${authority} in this browser.`],
      form: { action: SIGN_OUT_PATH, label: "Sign out" },
    });
  }
  if (method !== "POST") return context.refuse("method_not_allowed", "it takes GET and POST");
  if (!mayUseCookies(method, headers, authority, false)) {
    return context.refuse("forbidden", "only this host's own pages sign somebody out");
  }
  context.cookie = signInCookieLine("person", "", 0, caller.scheme());
  return page(context, 200, {
    heading: "You are signed out",
    lines: ["The identity provider may still know you."],
    form: { action: SIGN_IN_PATH, label: "Sign in again", method: "get" },
  });
}

/** Refuses a sign-in. A person may try again, as somebody else. */
export function refuse({ context, caller }: SignInRequest, { code, detail }: Refusal): Response {
  if (!isPersonsPage(caller)) return context.refuse(code, detail);
  context.code = code;
  const { status, title, retryAfterS } = ERRORS[code];
  const shown: ShownPage = {
    heading: title,
    lines: detail === "" ? [] : [detail],
    small: `postern · ${status} · ${code}`,
    form: { action: SIGN_IN_PATH, label: "Sign in again", method: "get" },
  };
  return page(
    context,
    status,
    shown,
    retryAfterS === undefined ? {} : { "retry-after": String(retryAfterS) },
  );
}

/** Whether a person's browser goes to a page. */
export function isPersonsPage({ method, headers }: EndpointCaller): boolean {
  return isNavigation(method, (name) => headers.get(name));
}

type ShownPage = Omit<Parameters<typeof htmlPage>[0], "title" | "small"> & {
  readonly small?: string;
};

function page(
  context: RequestContext,
  status: number,
  shown: ShownPage,
  more: Readonly<Record<string, string>> = {},
): Response {
  const headers = {
    ...PAGE_HEADERS,
    "cache-control": "no-store",
    // Without a referrer of its own, a browser would name no Origin when the page's form is sent.
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    ...more,
  };
  const body = htmlPage({ title: shown.heading, small: "postern", ...shown });
  return context.respond(status, Object.entries(headers).flat(), body);
}

/**
 * Lets a person whom the provider has sent back go on, by a page of this host. After a redirect the browser would tell the
 * app that another site leads there (Sec-Fetch-Site), also at each reload: ComfyUI refuses that.
 */
export function goOn(
  { context, caller }: SignInRequest,
  location: string,
  cookie: string,
): Response {
  // Programs that tell no site follow redirects, and no page.
  const site = caller.headers.get("sec-fetch-site") ?? "none";
  if (!isPersonsPage(caller) || site === "none" || site === "same-origin") {
    return goTo(context, location, cookie);
  }
  context.cookie = cookie;
  const shown = { heading: "You are signed in", lines: ["This page goes on by itself."] };
  const headers = { refresh: `0; url=${location}`, "referrer-policy": HIDDEN };
  return page(context, 200, shown, headers);
}

export function goTo(context: RequestContext, location: string, cookie: string): Response {
  context.cookie = cookie;
  const headers = { location, "cache-control": "no-store", "referrer-policy": HIDDEN };
  return context.respond(303, Object.entries(headers).flat(), "");
}
