/** The body of a client's request: in memory where it is short, so that it can be sent again, else a stream. */
import { within } from "../../../base/runtime/within.ts";
import { INITIAL_WINDOW_BYTES } from "../../../routing/wire/limits.ts";
import type { Failure } from "../../../routing/wire/messages.ts";

export type OutgoingBody = Uint8Array | ReadableStream<Uint8Array> | null;

/**
 * A body that fits the opening frame is read whole; others stream.
 * @param limitMs how long it may take; one that streams has the endpoint's `timeout`
 * @param wholeBytes a larger one that is read whole as well
 * @throws where it does not arrive whole
 */
export async function requestBody(
  request: Request,
  limitMs: number,
  wholeBytes: number = INITIAL_WINDOW_BYTES,
): Promise<OutgoingBody> {
  if (request.body === null) return null;
  const declared = Number(request.headers.get("content-length") ?? Number.NaN);
  const isLong = declared > Math.max(wholeBytes, INITIAL_WINDOW_BYTES);
  if (isLong || Number.isNaN(declared)) return request.body;
  const body = await within(limitMs, request.arrayBuffer());
  if (body === undefined) throw new Error("the body is late");
  return new Uint8Array(body);
}

/** The client left, or it closed its sending side too early and reads on, or it is too slow. */
export const BODY_BROKE_OFF: Failure = {
  code: "upload_interrupted",
  detail: "the request body did not arrive whole",
};
