/**
 * The result of something that may be refused. Functions return a `Result` for every refusal that their
 * caller must handle; they throw only for mistakes in the program and for I/O that fails.
 */

export type Result<Value, Problem> = Ok<Value> | Err<Problem>;

export interface Ok<Value> {
  readonly ok: true;
  readonly value: Value;
}

export interface Err<Problem> {
  readonly ok: false;
  readonly error: Problem;
}

export function ok<Value>(value: Value): Ok<Value> {
  return { ok: true, value };
}

/** Not `error`: most functions that refuse also catch, and `error` is the caught one there. */
export function err<Problem>(error: Problem): Err<Problem> {
  return { ok: false, error };
}
