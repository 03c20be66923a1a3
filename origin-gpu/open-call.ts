/** The way of a call from its stream into the registry: past the refusals of this box, and past the shield against probes. */
import type { RequestHead } from "../routing/wire/heads.ts";
import type { StreamEvents } from "../routing/wire/multiplexer.ts";
import { admit } from "./admitted-calls.ts";
import type { ServedFunction } from "./apps/served-function.ts";
import type { CallRegistry } from "./calls/call-registry.ts";
import type { Link } from "./link/link.ts";
import { type OpenedStream, refuse } from "./link/operation-server.ts";
import { answerProbe, isShielded } from "./probes.ts";

/** Opens a call that came over a link, unless the box answers or refuses it by itself. */
export function openCall(
  { calls, link, isDraining }: { calls: CallRegistry; link: Link; isDraining: boolean },
  served: ServedFunction | undefined,
  { stream, body, end }: OpenedStream,
  head: RequestHead,
): StreamEvents {
  const admitted = admit(served, head, isDraining);
  if (!admitted.ok) return refuse(stream, admitted.error);
  if (isShielded(admitted.value, head)) return answerProbe(stream);
  return calls.open(stream, link, head, { body, end }, admitted.value.runner(link.number));
}
