/**
 * Every error that Postern answers by itself: one row holds its stable `code`, its HTTP
 * status, the title of its problem document (RFC 9457), and the advice for a client and its user. Nothing else
 * decides a status, and `npm run generate` makes docs/errors.md from this table.
 */

interface ErrorKind {
  readonly status: number;
  /** The `title` of the problem document. */
  readonly title: string;
  /** For docs/errors.md: in which case a client sees this code. */
  readonly when: string;
  /** For docs/errors.md: what the client or its user does about it. */
  readonly remedy: string;
  /**
   * Whether an app may have begun the call, so that sending it again might run it twice. Client
   * libraries that repeat a request by themselves are told not to.
   */
  readonly mayHaveRun: boolean;
  /** Seconds after which trying again makes sense, where the failure names no other number. */
  readonly retryAfterS?: number;
}

const ROWS = {
  bad_request: {
    status: 400,
    title: "The request is malformed",
    when: "The Host, the target, a header or a chunk of the body is malformed, or a header's value is not UTF-8.",
    remedy: "Correct the request; `detail` says what is wrong.",
    mayHaveRun: false,
  },
  sign_in_failed: {
    status: 400,
    title: "The sign-in was not completed",
    when: "A sign-in took longer than ten minutes, began in another browser, ended twice, or was refused by the identity provider.",
    remedy: "Open the endpoint's page again ([signing in](sign-in.md)).",
    mayHaveRun: false,
  },
  parameter_missing: {
    status: 400,
    title: "A required parameter is missing",
    when: "The endpoint has a query parameter without a default, and the request lacks it.",
    remedy: "Add the parameter.",
    mayHaveRun: false,
  },
  parameter_invalid: {
    status: 400,
    title: "A parameter has an invalid value",
    when: "A query parameter of the endpoint, or a field of an API request, has an invalid value.",
    remedy: "Correct the value; `detail` names the field.",
    mayHaveRun: false,
  },
  missing_credentials: {
    status: 401,
    title: "missing credentials for proxy authorization",
    when: "The endpoint requires proxy auth, and the request has no credentials.",
    remedy:
      "Send `Modal-Key` and `Modal-Secret` (or `Postern-…`), or both as one API key ([tokens](tokens.md)).",
    mayHaveRun: false,
  },
  invalid_credentials: {
    status: 401,
    title: "invalid credentials for proxy authorization",
    when: "The credentials are unknown, revoked, expired or not ours; the response does not say which.",
    remedy: "Create a new token.",
    mayHaveRun: false,
  },
  forbidden: {
    status: 403,
    title: "These credentials do not open this endpoint",
    when: "The credentials are valid, for another environment, app, path or scope.",
    remedy:
      "Create a token for this environment, app and path, or with the scope that `detail` names.",
    mayHaveRun: false,
  },
  sign_in_forbidden: {
    status: 403,
    title: "This person may not use the endpoint",
    when: "Somebody signed in whose e-mail address the endpoint's `emails` lack, or the identity provider has not verified.",
    remedy: "Sign in as somebody else, or add the address to `emails` ([signing in](sign-in.md)).",
    mayHaveRun: false,
  },
  no_such_endpoint: {
    status: 404,
    title: "No endpoint has this name",
    when: "No app holds this name under the base domain.",
    remedy: "Compare the host with `postern url`.",
    mayHaveRun: false,
  },
  not_found: {
    status: 404,
    title: "Nothing is at this path",
    when: "The base domain has no such page, API path or object.",
    remedy: "Compare the path with `/api/v1/openapi.json`.",
    mayHaveRun: false,
  },
  path_closed: {
    status: 404,
    title: "The endpoint does not serve this path",
    when: "The endpoint's `paths` leave this path out, in one of the ways in which an app may read it.",
    remedy:
      "Ask for another path, or change `paths` in postern.toml ([paths](tokens.md#closed-paths)).",
    mayHaveRun: false,
  },
  no_such_call: {
    status: 404,
    title: "No call has this token",
    when: "This gateway did not sign the result URL's token, or signed it for another endpoint.",
    remedy: "Use the URL exactly as the 303 or 202 gave it.",
    mayHaveRun: false,
  },
  method_not_allowed: {
    status: 405,
    title: "This path does not take this method",
    when: "The API has this path for other methods.",
    remedy: "Use a method that `Allow` names.",
    mayHaveRun: false,
  },
  // RFC 9110, 15.5.9.
  body_timeout: {
    status: 408,
    title: "The request body took too long",
    when: "The body of an API request was not whole 20 seconds after its headers.",
    remedy: "Send the request again, on a faster connection.",
    mayHaveRun: false,
  },
  label_held: {
    status: 409,
    title: "This name is taken",
    when: "Another app holds the name.",
    remedy: "Choose another label.",
    mayHaveRun: false,
  },
  conflict: {
    status: 409,
    title: "The request conflicts with the present state",
    when: "The change contradicts the present state, for instance a name that is in use.",
    remedy: "Read the present state, then decide again.",
    mayHaveRun: false,
  },
  result_expired: {
    status: 410,
    title: "The result has expired",
    when: "The response was stored for its time and is gone.",
    remedy: "Run the call again under a new key; a longer `result_ttl` stores responses longer.",
    mayHaveRun: true,
  },
  app_stopped: {
    status: 410,
    title: "The app has been stopped",
    when: "Somebody stopped the app.",
    remedy: "Deploy it again.",
    mayHaveRun: false,
  },
  session_lost: {
    status: 410,
    title: "The container of this session is gone",
    when: "The session was bound to a container that is gone.",
    remedy: "Begin a new session.",
    mayHaveRun: false,
  },
  body_too_large: {
    status: 413,
    title: "The request body is too large",
    when: "The body is larger than the gateway takes: declared so, or counted on its way to the app.",
    remedy: "Send less, or raise the gateway's `--max-body`.",
    mayHaveRun: true,
  },
  wrong_host: {
    status: 421,
    title: "This gateway does not serve this host",
    when: "The Host is neither under the base domain nor a custom domain of this gateway.",
    remedy: "Compare the host with `postern url`, and the base domain with `--base-domain`.",
    mayHaveRun: false,
  },
  idempotency_key_reused: {
    status: 422,
    title: "The Idempotency-Key was used with another request body",
    when: "The same Idempotency-Key came with another request body.",
    remedy: "Use a new key for each operation.",
    mayHaveRun: false,
  },
  rate_limited: {
    status: 429,
    title: "Too many requests",
    when: "More requests came than a rate limit of workspace, endpoint, token or result allows ([limits](limits.md)). Or too many of one client's address, or of one token, are under way.",
    remedy: "Wait for `Retry-After`.",
    mayHaveRun: false,
    retryAfterS: 1,
  },
  budget_spent: {
    status: 429,
    title: "The token's budget is spent",
    when: "The token has used its requests, or its container-seconds, of the day (UTC) ([limits](limits.md#budgets)).",
    remedy: "Wait for `Retry-After`, or raise the token's budget.",
    mayHaveRun: false,
  },
  queue_full: {
    status: 429,
    title: "The queue is full",
    when: "The endpoint has as many waiting requests as it allows, or the box has no room for more.",
    remedy: "Wait for `Retry-After`; raise `max_pending`, or add containers or boxes.",
    mayHaveRun: false,
    retryAfterS: 1,
  },
  headers_too_large: {
    status: 431,
    title: "The request headers are too large",
    when: "The request's headers are larger than 64 KiB or more than 500 lines.",
    remedy: "Send fewer headers; often cookies have piled up.",
    mayHaveRun: false,
  },
  internal_error: {
    status: 500,
    title: "The gateway made a mistake",
    when: "Something happened that the gateway does not expect; its log has a line with the same `X-Request-Id`.",
    remedy: "Report it with that line. The app may have begun the call.",
    mayHaveRun: true,
  },
  not_supported: {
    status: 501,
    title: "This is not supported",
    when: "Postern does not do this, for instance gRPC, a WebSocket to a WSGI app, a transfer coding other than chunked, or, behind the front, CONNECT.",
    remedy: "`detail` says what is not supported.",
    mayHaveRun: false,
  },
  origin_error: {
    status: 502,
    title: "The app broke the exchange",
    when: "The app refused the connection, broke its response off, or sent what is not HTTP: for instance a status above 599, or two Content-Lengths, even equal ones (RFC 9110, 8.6).",
    remedy: "Read the app's output in the box's log. Send the request again if the app bears it.",
    mayHaveRun: true,
  },
  call_lost: {
    status: 502,
    title: "The call was lost",
    when: "The process that ran the call died, the disk lost its response, or somebody ended it.",
    remedy:
      "Send the request again if the app bears it; an `Idempotency-Key` from the start rules out a second run.",
    mayHaveRun: true,
  },
  // Not 408: browsers and clients repeat a request by themselves after it, and the app may have begun this one.
  upload_interrupted: {
    status: 502,
    title: "The request body did not arrive whole",
    when: "The request body never arrived whole: the client sent no more for the endpoint's `timeout`, or the upload broke off. The app saw a disconnect.",
    remedy: "Send the request again if the app bears it.",
    mayHaveRun: true,
  },
  identity_provider_error: {
    status: 502,
    title: "The identity provider answered wrongly",
    when: "The identity provider of the endpoint's `auth` refused the gateway, or vouched for somebody in a way that proves nothing.",
    remedy:
      "Compare the endpoint's `auth` with its client at the provider ([signing in](sign-in.md)).",
    mayHaveRun: false,
  },
  identity_provider_unavailable: {
    status: 503,
    title: "The identity provider does not answer",
    when: "The identity provider of the endpoint's `auth` can't be reached, or publishes no valid description of itself.",
    remedy: "Wait for `Retry-After`; the endpoint's tokens open it meanwhile.",
    mayHaveRun: false,
    retryAfterS: 5,
  },
  no_origin: {
    status: 503,
    title: "No box serves this endpoint now",
    when: "The endpoint exists, and no box that serves it takes the call.",
    remedy: "Wait for `Retry-After`; `postern box list` shows which boxes are connected.",
    mayHaveRun: false,
    retryAfterS: 1,
  },
  unavailable: {
    status: 503,
    title: "A part of the gateway did not answer",
    when: "A part of the gateway did not answer in time, or as many requests wait as the gateway can hold.",
    remedy: "Wait for `Retry-After`.",
    mayHaveRun: false,
    retryAfterS: 1,
  },
  starting_failed: {
    status: 503,
    title: "The app failed to start",
    when: "The app's process did not become ready, or the box's agent ended before an accepted call began.",
    remedy: "Read the box's log. The call did not run: send it again.",
    mayHaveRun: false,
    retryAfterS: 5,
  },
  call_timeout: {
    status: 504,
    title: "The app took too long to answer",
    when: "The app sent no response headers within the endpoint's `timeout`, counted from the last byte of the request.",
    remedy: "Raise `timeout`, or find what holds the app up.",
    mayHaveRun: true,
  },
  startup_timeout: {
    status: 504,
    title: "The app took too long to start",
    when: "The app was not ready within the endpoint's `startup_timeout`.",
    remedy: "Raise `startup_timeout`, or read the box's log.",
    mayHaveRun: false,
    retryAfterS: 5,
  },
  // RFC 4918, 11.5.
  results_full: {
    status: 507,
    title: "The box has no room to keep the answer",
    when: "The app answered, and the box had no room to store its response.",
    remedy: "Make room on the box's disk, or lower `result_ttl`.",
    mayHaveRun: true,
  },
} satisfies Record<string, ErrorKind>;

/** A stable error code of docs/errors.md. */
export type ErrorCode = keyof typeof ROWS;

export const ERRORS: Readonly<Record<ErrorCode, ErrorKind>> = ROWS;

/** Why something is refused: a code, and words for the reader of this one refusal. */
export interface Refusal {
  readonly code: ErrorCode;
  /** May be empty. */
  readonly detail: string;
}

/** Whether a string that came over a wire is one of our codes. */
export function isErrorCode(value: unknown): value is ErrorCode {
  return typeof value === "string" && Object.hasOwn(ERRORS, value);
}
