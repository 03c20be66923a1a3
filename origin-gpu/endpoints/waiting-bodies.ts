/** A call that waits takes little memory: its head is counted and packed, its body goes to the disk. */
import { KIB } from "../../base/units.ts";
import { contentLength } from "../../routing/wire/heads.ts";
import { type BodySpool, BodySpoolFullError, type BodySpools } from "../calls/body-spool.ts";
import type { Call } from "../calls/call.ts";
import type { WithoutRoom } from "../calls/request-body.ts";

/** Bodies up to this size wait in memory, whole. */
const SMALL_BODY_BYTES = 4 * KIB;

/**
 * Takes in what a waiting call has, and refuses the call where there is no room.
 * @param bodies where its body goes; without it the body waits in its window
 */
export function parkCall(call: Call, bodies: BodySpools | undefined): void {
  const retryAfter = call.park();
  if (retryAfter === undefined) void takeBody(call, bodies);
  else {
    const detail = "the heads of the endpoint's waiting calls take all the room that they may";
    call.fail({ code: "queue_full", detail, retryAfter });
  }
}

/**
 * Keeps the body of a call that begins at once, so that it can be run again. A body that is whole is kept by its
 * connection. One that has no room streams on, and its call runs once.
 */
export function keepBody(call: Call, bodies: BodySpools | undefined): void {
  if (bodies === undefined || !call.body.incomplete) return;
  let spool: BodySpool;
  try {
    spool = bodies.begin(call.head.endpoint, contentLength(call.head.headers));
  } catch (error) {
    if (error instanceof BodySpoolFullError) return;
    throw error;
  }
  void drain(call, spool, () => (call.isPromised ? "kept" : "streamed"));
}

/** Small bodies that are whole stay where they are, as does that of an accepted call for which there is no room. */
async function takeBody(call: Call, bodies: BodySpools | undefined): Promise<void> {
  const { body, head } = call;
  if (bodies === undefined || (!body.incomplete && body.waitingBytes <= SMALL_BODY_BYTES)) return;
  try {
    const spool = bodies.begin(head.endpoint, contentLength(head.headers));
    // It may have got its place meanwhile.
    const unlessPromised = () => (call.hasBegun ? "streamed" : "refused");
    await drain(call, spool, () => (call.isPromised ? "kept" : unlessPromised()));
  } catch (error) {
    if (!(error instanceof BodySpoolFullError)) throw error;
    if (!call.isPromised) refuse(call, error);
  }
}

async function drain(call: Call, spool: BodySpool, withoutRoom: () => WithoutRoom): Promise<void> {
  try {
    await call.body.drainTo(spool, withoutRoom);
  } catch (error) {
    if (error instanceof BodySpoolFullError) refuse(call, error);
  }
}

function refuse(call: Call, { message: detail, retryAfterS }: BodySpoolFullError): void {
  call.fail({ code: "queue_full", detail, retryAfter: retryAfterS });
}
