/**
 * An error as OpenAI's API has it: the SDKs of OpenAI show `error.message`, and nothing of a body without it. Edge and
 * agent make the same, in a response's body and in the event that ends a stream.
 */
import { type ErrorCode, ERRORS } from "./errors.ts";

export interface OpenAiError {
  readonly message: string;
  readonly type: "invalid_request_error" | "rate_limit_error" | "server_error";
  readonly code: string;
  readonly param: null;
}

/** @param status of the response, where it is not the code's own */
export function openAiError(
  code: ErrorCode,
  message: string,
  status: number = ERRORS[code].status,
): OpenAiError {
  return { message, type: typeOf(status), code, param: null };
}

function typeOf(status: number): OpenAiError["type"] {
  if (status === 429) return "rate_limit_error";
  return status < 500 ? "invalid_request_error" : "server_error";
}
