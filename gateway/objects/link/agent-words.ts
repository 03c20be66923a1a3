/** Reads the parts of an agent's JSON that the object needs. The Worker checks and parses the rest. */
import { ProtocolError } from "../../../routing/wire/frames.ts";
import { contentLength, parseResponseHead } from "../../../routing/wire/heads.ts";
import { parseFailure } from "../../../routing/wire/messages.ts";

/**
 * The bytes of a body from an offset on, where the response declares its length; undefined also for a head that
 * makes no sense, which the Worker refuses.
 */
export function lengthFrom(head: string, offset: number): number | undefined {
  try {
    const length = contentLength(parseResponseHead(head).headers);
    return length === undefined ? undefined : Math.max(0, length - offset);
  } catch (error) {
    if (error instanceof ProtocolError) return undefined;
    throw error;
  }
}

/** The words of a failure in the agent's JSON, which may be none. */
export function detailOf(failure: string): string {
  try {
    return parseFailure(failure).detail;
  } catch {
    return "the agent reset it";
  }
}
