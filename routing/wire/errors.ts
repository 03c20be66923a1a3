/**
 * Every answer that the gateway makes by itself, as one table: the stable `code` that clients may
 * switch on, its HTTP status, and the title of the problem document (RFC 9457). Adding an error means
 * adding a row; nothing else decides a status.
 */

interface ErrorKind {
  readonly status: number;
  readonly title: string;
}

export const ERRORS = {
  bad_request: { status: 400, title: "The request is malformed" },
  parameter_missing: { status: 400, title: "A required parameter is missing" },
  parameter_invalid: { status: 400, title: "A parameter has an invalid value" },
  missing_credentials: { status: 401, title: "missing credentials for proxy authorization" },
  invalid_credentials: { status: 401, title: "invalid credentials for proxy authorization" },
  forbidden: { status: 403, title: "These credentials do not open this endpoint" },
  no_such_endpoint: { status: 404, title: "No endpoint has this name" },
  not_found: { status: 404, title: "Nothing is at this path" },
  no_such_call: { status: 404, title: "No call has this token" },
  method_not_allowed: { status: 405, title: "This path does not take this method" },
  label_held: { status: 409, title: "This name is taken" },
  conflict: { status: 409, title: "The request conflicts with the present state" },
  result_expired: { status: 410, title: "The result has expired" },
  app_stopped: { status: 410, title: "The app has been stopped" },
  session_lost: { status: 410, title: "The container of this session is gone" },
  body_too_large: { status: 413, title: "The request body is too large" },
  wrong_host: { status: 421, title: "This gateway does not serve this host" },
  idempotency_key_reused: {
    status: 422,
    title: "The Idempotency-Key was used with another request body",
  },
  rate_limited: { status: 429, title: "Too many requests" },
  queue_full: { status: 429, title: "The queue is full" },
  headers_too_large: { status: 431, title: "The request headers are too large" },
  not_supported: { status: 501, title: "This is not supported" },
  origin_error: { status: 502, title: "The app broke the exchange" },
  call_lost: { status: 502, title: "The call was lost" },
  upload_interrupted: { status: 502, title: "The request body did not arrive whole" },
  no_origin: { status: 503, title: "No box serves this endpoint now" },
  unavailable: { status: 503, title: "A part of the gateway did not answer" },
  starting_failed: { status: 503, title: "The app failed to start" },
  call_timeout: { status: 504, title: "The app took too long to answer" },
  startup_timeout: { status: 504, title: "The app took too long to start" },
  // RFC 4918, 11.5.
  results_full: { status: 507, title: "The box has no room to keep the answer" },
} as const satisfies Record<string, ErrorKind>;

/** A stable error code of docs/errors.md. */
export type ErrorCode = keyof typeof ERRORS;

/** Whether a string that came over a wire is one of our codes. */
export function isErrorCode(value: unknown): value is ErrorCode {
  return typeof value === "string" && Object.hasOwn(ERRORS, value);
}
