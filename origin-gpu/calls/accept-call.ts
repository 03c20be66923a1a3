/** Writes a call that is durable from its first byte on to the journal. */
import type { RequestHead } from "../../routing/wire/heads.ts";
import type { Call } from "./call.ts";
import { type Fingerprint, FingerprintReader } from "./fingerprint.ts";
import type { DurableCalls } from "./store/durable-calls.ts";

/**
 * Records are written in the order in which they are asked for: that of the call's start comes behind this one, in the
 * same sync. A call that the disk refuses fails.
 * @returns whether the journal has it, and it goes on
 */
export async function acceptCall(
  durable: DurableCalls,
  call: Call,
  head: RequestHead,
): Promise<boolean> {
  const { callId, endpoint, key } = head;
  let fingerprint: Fingerprint | undefined;
  let isAsked = false;
  if (key !== undefined) {
    call.body.watch(FingerprintReader.of(head), (whole) => {
      fingerprint = whole;
      // The fingerprint of a body that came with the request is in the record already.
      if (isAsked) void durable.addFingerprint(callId, whole);
    });
  }
  const { method, path } = call.request;
  const record = durable.accept({ callId, endpoint, method, path, key, fingerprint });
  isAsked = true;
  try {
    await record;
  } catch (error) {
    durable.report(error);
    const detail = "this box has no room to store the response";
    call.fail({ code: "no_origin", detail, retryAfter: 60 });
    return false;
  }
  if (!call.over) call.onJournaled();
  return !call.over;
}
