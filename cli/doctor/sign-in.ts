/** Tries an endpoint as a person's browser without a credential, as far as the identity provider's first page. */
import { ERRORS, type ErrorCode, isErrorCode } from "../../routing/wire/errors.ts";
import { SIGNED_IN_PATH } from "../../routing/sign-in.ts";
import type { Patient } from "./patient.ts";
import { exchange, type TriedAnswer, wordsOf } from "./exchange.ts";
import { failed, type Finding, ok, skipped } from "./finding.ts";
import { resolveServer } from "./reach.ts";

const CHECK = "sign-in";

/** The headers of a browser that goes to a page. */
const NAVIGATION = { accept: "text/html", "sec-fetch-mode": "navigate" };

/** An address of the provider's own page for mistakes, where its redirect goes there instead of answering 400. */
const LEADS_TO_ERROR = /[/?&]error\b/;

export async function asPerson({ server }: Patient): Promise<Finding> {
  const answer = await navigate(async () => await exchange(server, { headers: NAVIGATION }));
  if (answer === undefined) return skipped(CHECK, "no answer to try it by");
  const code = codeOfPage(answer);
  if (code?.startsWith("identity_provider") === true) {
    return failed(
      CHECK,
      `${ERRORS[code].status} ${code}: ${ERRORS[code].title}`,
      wordsOf(code).remedy,
    );
  }
  const provider = signInUrl(answer);
  if (provider === undefined) return skipped(CHECK, "nobody signs in here");
  const found = await resolveServer(provider);
  const asked = found.server;
  const page =
    asked && (await navigate(async () => await exchange(asked, { headers: NAVIGATION })));
  if (page === undefined) {
    return failed(
      CHECK,
      `the identity provider ${provider.origin} does not answer this machine`,
      "compare issuer in the endpoint's auth with the provider's address, and see whether it runs",
    );
  }
  if (page.status >= 400 || LEADS_TO_ERROR.test(page.headers.location ?? "")) {
    return failed(
      CHECK,
      `the identity provider ${provider.origin} refuses the endpoint with ${page.status}`,
      `at its client ${provider.searchParams.get("client_id") ?? ""} add the redirect URI ${provider.searchParams.get("redirect_uri") ?? ""}`,
    );
  }
  return ok(CHECK, `people sign in at ${provider.origin}`);
}

async function navigate(ask: () => Promise<TriedAnswer>): Promise<TriedAnswer | undefined> {
  try {
    return await ask();
  } catch {
    return undefined;
  }
}

/** The provider's page, where the gateway sends people there. */
function signInUrl({ status, headers }: TriedAnswer): URL | undefined {
  const { location = "" } = headers;
  if (status !== 303 || !URL.canParse(location)) return undefined;
  const url = new URL(location);
  return url.searchParams.get("redirect_uri")?.endsWith(SIGNED_IN_PATH) === true ? url : undefined;
}

/** The code at the foot of a page of Postern's own. */
function codeOfPage({ text }: TriedAnswer): ErrorCode | undefined {
  const code = /postern · \d{3} · (\w+)/.exec(text)?.[1];
  return isErrorCode(code) ? code : undefined;
}
