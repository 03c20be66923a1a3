/**
 * An error response of Postern's own, made from a row of wire/errors.ts: a problem document (RFC 9457),
 * a small page or one line of text, as the client prefers. It says what went wrong and what helps, and
 * never names a stack, a path or another tenant.
 */
import { htmlPage, PAGE_HEADERS } from "./html-page.ts";
import { problemShape, type ProblemShape } from "./accept.ts";
import { type ErrorCode, ERRORS } from "./wire/errors.ts";
import { openAiError } from "./wire/openai-error.ts";

export interface ProblemOptions {
  /** The request's Accept header. */
  accept: string | null;
  /** Instead of the row's. */
  status?: number | undefined;
  /** Seconds after which trying again makes sense, instead of the row's default; null: no time helps. */
  retryAfter?: number | null | undefined;
  /** More members of the problem document, for programs; the other shapes leave them out. */
  members?: Readonly<Record<string, unknown>> | undefined;
  /** The endpoint's `api`: its clients look for an `error` in the document. */
  api?: "openai" | undefined;
}

export interface Problem {
  status: number;
  headers: Record<string, string>;
  body: string;
}

/**
 * Builds the response for an error code.
 * @param detail for the reader of this one response; may be empty. A 401 leaves it out, so that its words
 *   tell a stranger nothing about the endpoint.
 */
export function problem(code: ErrorCode, detail: string, options: ProblemOptions): Problem {
  const { mayHaveRun, retryAfterS } = ERRORS[code];
  const { status = ERRORS[code].status, members } = options;
  const shape = SHAPES[problemShape(options.accept)];
  const headers: Record<string, string> = {
    // RFC 9111, 5.2.2.5: what is wrong now may be right in a second.
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    ...shape.headers,
  };
  const challenge = CHALLENGES[code];
  if (challenge !== undefined) headers["www-authenticate"] = challenge;
  const { retryAfter = retryAfterS ?? null } = options;
  // RFC 9110, 10.2.3: whole seconds.
  if (retryAfter !== null) headers["retry-after"] = `${Math.max(0, Math.ceil(retryAfter))}`;
  // The OpenAI and Anthropic clients repeat a POST after 408, 409, 429 and 5xx unless told so.
  if (mayHaveRun || options.retryAfter === null) headers["x-should-retry"] = "false";
  const body = shape.body({
    code,
    status,
    detail: challenge === undefined ? detail : "",
    members,
    api: options.api,
  });
  return { status, headers, body };
}

interface Said {
  readonly code: ErrorCode;
  readonly status: number;
  readonly detail: string;
  readonly members: ProblemOptions["members"];
  readonly api: ProblemOptions["api"];
}

interface Shape {
  headers: Readonly<Record<string, string>>;
  body(said: Said): string;
}

const SHAPES: Readonly<Record<ProblemShape, Shape>> = {
  document: { headers: { "content-type": "application/problem+json" }, body: document },
  page: {
    headers: PAGE_HEADERS,
    body: page,
  },
  line: {
    headers: { "content-type": "text/plain; charset=utf-8" },
    body: ({ code, detail }) => `${line(code, detail)}\n`,
  },
};

/** RFC 9110, 11.6.1, and RFC 6750, 3: which credentials open the endpoint; `error` rejects those sent. */
const CHALLENGES: Partial<Record<ErrorCode, string>> = {
  missing_credentials: 'Bearer realm="postern"',
  invalid_credentials: 'Bearer realm="postern", error="invalid_token"',
};

/** RFC 9457, 3. Without `type`, which then means "about:blank": programs switch on `code`. */
function document({ code, status, detail, members, api }: Said): string {
  const { title } = ERRORS[code];
  const explained = explain(code, detail);
  const problem = { ...members, title, status, detail: explained, code };
  const error = api === "openai" ? { error: openAiError(code, explained, status) } : {};
  return `${JSON.stringify({ ...problem, ...error })}\n`;
}

/** `postern: no endpoint has this name (ws--app is not served here)`. */
function line(code: ErrorCode, detail: string): string {
  const { title } = ERRORS[code];
  const start = `postern: ${title.charAt(0).toLowerCase()}${title.slice(1)}`;
  return detail === "" ? start : `${start} (${detail.replace(/\p{Cc}+/gu, " ")})`;
}

/** The detail, or the title's line where the detail is empty. */
function explain(code: ErrorCode, detail: string): string {
  return detail === "" ? line(code, "") : detail;
}

function page({ code, status, detail }: Said): string {
  const { title } = ERRORS[code];
  const heading = title.charAt(0).toUpperCase() + title.slice(1);
  return htmlPage({
    title: `${status} ${heading}`,
    heading,
    lines: [explain(code, detail)],
    small: `postern · ${status} · ${code}`,
  });
}
