/** Why a result could not be stored or cannot be read, and what clients are told of it. */
import type { ErrorCode } from "../../../routing/wire/errors.ts";
import type { Failure } from "../../../routing/wire/messages.ts";
import { isNoSpace, isOutOfDescriptors } from "./files.ts";

/** A client may ask again so soon for a result that cannot be opened now. */
const BUSY_RETRY_AFTER_S = 1;

/** Says why a result is not there, or not whole. */
export class ResultError extends Error {
  readonly code: ResultErrorCode;

  constructor(code: ResultErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** The bytes on the disk are not those that were written. */
export function isDamage(error: unknown): boolean {
  return error instanceof ResultError && error.code === "damaged";
}

/** The file of a result that was complete is not there. */
export function isGone(error: unknown): boolean {
  return error instanceof ResultError && error.code === "expired";
}

export type ResultErrorCode =
  /** No room on the disk, or within the results' quota. */
  | "results_full"
  /** The disk failed. */
  | "storage_failed"
  /** It is there, and this process can open no more files now. */
  | "busy"
  /** It was given up before it was complete: its call failed or was cancelled. */
  | "discarded"
  /** It was complete, and was dropped since. */
  | "expired"
  /** The bytes on the disk are not those that were written. */
  | "damaged";

const PUBLIC_CODE = {
  results_full: "results_full",
  storage_failed: "call_lost",
  // As where the box is away: the client asks again.
  busy: "no_origin",
  // The app broke it off, or the call was cancelled; its subscribers have the head already.
  discarded: "origin_error",
  expired: "result_expired",
  damaged: "call_lost",
} as const satisfies Record<ResultErrorCode, ErrorCode>;

/** Makes a `ResultError` of an error of the file system while it stored. Returns a `ResultError` as it is. */
export function asResultError(error: unknown): ResultError {
  if (error instanceof ResultError) return error;
  if (isNoSpace(error)) {
    return new ResultError("results_full", "the disk is full", { cause: error });
  }
  return new ResultError("storage_failed", "the result cannot be stored", { cause: error });
}

/** Makes a `ResultError` of an error of the file system while it opened a result that is stored. */
export function asReadError(error: unknown): ResultError {
  if (isOutOfDescriptors(error)) {
    return new ResultError("busy", "the box can open no more files now", { cause: error });
  }
  return new ResultError("storage_failed", "the result cannot be read", { cause: error });
}

/** The failure that clients are told where a response could not be stored, or cannot be read. */
export function resultFailure(error: unknown): Failure {
  if (!(error instanceof ResultError))
    return { code: "call_lost", detail: "the box's disk failed" };
  const failure = { code: PUBLIC_CODE[error.code], detail: error.message };
  return error.code === "busy" ? { ...failure, retryAfter: BUSY_RETRY_AFTER_S } : failure;
}
