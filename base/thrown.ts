/** Thrown values, which may be of any type. Pure. */

/** Its message, in words for a log line or an answer. */
export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}
