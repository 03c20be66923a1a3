/**
 * Tries an endpoint as the script of a page elsewhere: a preflight with the headers that such clients send, and a fetch
 * whose answer the browser lets the page read, or not (Fetch Standard, CORS check).
 */
import { answererOf, hasResultUrl, type TriedAnswer } from "./exchange.ts";
import { failed, type Finding, ok, warning } from "./finding.ts";
import { ask, broken, type Patient, problemOf } from "./patient.ts";

const CHECK = "browser";

const ORIGIN = "https://doctor.example";

const SET_CORS = 'where one should, set cors = true, or cors = { origins = ["https://…"] }';

export async function asBrowser(patient: Patient): Promise<Finding> {
  const preflight = await ask(
    { ...patient, key: undefined },
    {
      method: "OPTIONS",
      headers: {
        origin: ORIGIN,
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization,content-type",
      },
    },
  );
  if (preflight instanceof Error) return broken(CHECK, preflight);
  // A rate limit's refusal says nothing of cors. A lock's does: with cors a preflight needs no key.
  const isRefused = answererOf(preflight).by === "postern" && preflight.status !== 401;
  const refusal = isRefused ? problemOf(CHECK, preflight, patient) : undefined;
  if (refusal !== undefined) return refusal;
  // A browser takes a refusal's headers for nothing: the preflight itself has to succeed.
  if (preflight.status >= 300 || !isAllowed(preflight)) {
    const detail = `pages of another origin may not call (${preflight.status} to the preflight)`;
    return twoValues(detail, preflight) ?? warning(CHECK, detail, SET_CORS);
  }
  const names = (preflight.headers["access-control-allow-headers"] ?? "").toLowerCase();
  // `*` never covers Authorization.
  if (!names.includes("authorization")) {
    return warning(
      CHECK,
      "pages may call, and send no Authorization",
      "set cors = true in postern.toml",
    );
  }
  const answer = await ask(patient, { headers: { origin: ORIGIN } });
  if (answer instanceof Error) return broken(CHECK, answer);
  const whose = permissionOf(preflight) === "*" ? "every origin" : "other origins";
  return unreadable(answer) ?? ok(CHECK, `pages of ${whose} may call`);
}

/** The finding where the page's request is sent, and the page can't read its answer. */
function unreadable(answer: TriedAnswer): Finding | undefined {
  // The app's own answer comes later, and may have other headers.
  if (hasResultUrl(answer) || isAllowed(answer)) return undefined;
  const permission = permissionOf(answer);
  const has = permission === undefined ? "no Access-Control-Allow-Origin" : `that of ${permission}`;
  const detail = `pages of another origin may call, and not read the ${answer.status}: it has ${has}`;
  return twoValues(detail, answer) ?? warning(CHECK, detail, SET_CORS);
}

/** The finding where the app and a proxy, or two proxies, each add the permission. */
function twoValues(detail: string, answer: TriedAnswer): Finding | undefined {
  if (permissionOf(answer)?.includes(",") !== true) return undefined;
  return failed(
    CHECK,
    detail,
    "Access-Control-Allow-Origin has two values, which browsers refuse: let Postern alone set it by cors, and no proxy in front (in nginx, no add_header)",
  );
}

function permissionOf({ headers }: TriedAnswer): string | undefined {
  return headers["access-control-allow-origin"];
}

function isAllowed(answer: TriedAnswer): boolean {
  const permission = permissionOf(answer);
  return permission === "*" || permission === ORIGIN;
}
