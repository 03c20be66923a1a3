/** The way of a call from its stream into the registry: past the refusals of this box, and past the shield against probes. */
import { SECOND_MS } from "../base/units.ts";
import { within } from "../base/runtime/within.ts";
import type { RequestHead } from "../routing/wire/heads.ts";
import type { StreamEvents } from "../routing/wire/multiplexer.ts";
import { admit, type Stopping } from "./admitted-calls.ts";
import type { ServedFunction } from "./apps/served-function.ts";
import type { CallRegistry } from "./calls/call-registry.ts";
import { HeldStream } from "./link/held-stream.ts";
import type { Link } from "./link/link.ts";
import { type OpenedStream, refuse } from "./link/operation-server.ts";
import { answerProbe, isShielded } from "./probes.ts";

/** A gateway that does not say whose a set of parameters is keeps no call longer. */
const UNDECIDED_MS = 5 * SECOND_MS;

interface OpeningPlace {
  readonly calls: CallRegistry;
  readonly link: Link;
  readonly stopping: () => Stopping;
}

/** Opens a call that came over a link, unless the box answers or refuses it by itself. */
export function openCall(
  place: OpeningPlace,
  served: ServedFunction | undefined,
  opened: OpenedStream,
  head: RequestHead,
): StreamEvents {
  const { stream, body, end } = opened;
  const admitted = admit(served, head, place.stopping());
  if (!admitted.ok) return refuse(stream, admitted.error);
  if (isShielded(admitted.value, head)) return answerProbe(stream);
  const undecided = whereabouts(served, head);
  if (undecided === undefined) return begin(place, admitted.value, opened, head);
  // The link reads on into the buffer that it brought the body in.
  const copy = new Uint8Array(body);
  const held = new HeldStream<ServedFunction | undefined>(stream, (still) => {
    const late = admit(still, head, place.stopping());
    if (!late.ok) return refuse(stream, late.error);
    return begin(place, late.value, { stream, body: copy, end }, head);
  });
  void undecided.then(() => held.release(served));
  return held;
}

/**
 * Resolves when this box knows whether the containers of the call's parameters are its own or another box's; undefined
 * where it knows, or need not know. It asks for them meanwhile: no call waits longer for that.
 */
export function whereabouts(
  served: ServedFunction | undefined,
  { target, key, mayRefuse = false }: Pick<RequestHead, "target" | "key" | "mayRefuse">,
): Promise<unknown> | undefined {
  // A call of a key waits at its home, whoever has the containers.
  if (key !== undefined || mayRefuse) return undefined;
  const undecided = served?.decide?.(target);
  return undecided && within(UNDECIDED_MS, undecided);
}

function begin(
  { calls, link }: OpeningPlace,
  admitted: ServedFunction,
  { stream, body, end }: OpenedStream,
  head: RequestHead,
): StreamEvents {
  return calls.open(stream, link, head, { body, end }, admitted.runner(link.number));
}
