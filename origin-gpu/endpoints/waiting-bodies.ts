/** A call that waits takes little memory: its head is counted and packed, its body goes to the disk. */
import { KIB } from "../../base/units.ts";
import { contentLength } from "../../routing/wire/heads.ts";
import { BodySpoolFullError, type BodySpools } from "../calls/body-spool.ts";
import type { Call } from "../calls/call.ts";

/** Bodies up to this size wait in memory, whole. */
const SMALL_BODY_BYTES = 4 * KIB;

/**
 * Takes in what a waiting call has, and refuses the call where there is no room.
 * @param bodies where its body goes; without it the body waits in its window
 */
export function parkCall(call: Call, bodies: BodySpools | undefined): void {
  if (call.park()) void takeBody(call, bodies);
  else {
    const detail = "the heads of waiting calls take all the room that they may";
    call.fail({ code: "queue_full", detail, retryAfter: 1 });
  }
}

/** Small bodies that are whole stay where they are. */
async function takeBody(call: Call, bodies: BodySpools | undefined): Promise<void> {
  const { body, head } = call;
  if (bodies === undefined || (!body.incomplete && body.waitingBytes <= SMALL_BODY_BYTES)) return;
  try {
    await body.drainTo(bodies.begin(contentLength(head.headers)));
  } catch (error) {
    if (!(error instanceof BodySpoolFullError)) return;
    call.fail({ code: "queue_full", detail: error.message, retryAfter: 10 });
  }
}
