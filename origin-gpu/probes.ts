/**
 * The shield against probes: health checkers and browsers that ask for icons start no container. The box answers them
 * itself while no container of the endpoint is ready.
 */
import type { RequestHead } from "../routing/wire/heads.ts";
import { NO_EVENTS, type Stream, type StreamEvents } from "../routing/wire/multiplexer.ts";
import type { ServedFunction } from "./apps/served-function.ts";
import { isOfPath } from "./core/keeps-awake.ts";

/** Whether the box answers the request without a container. Other methods than these may change something. */
export function isShielded(
  { settings, isReady }: Pick<ServedFunction, "settings" | "isReady">,
  { method, target, websocket }: Pick<RequestHead, "method" | "target" | "websocket">,
): boolean {
  if (settings.probePaths.length === 0 || isReady || websocket !== undefined) return false;
  return (method === "GET" || method === "HEAD") && isOfPath(target, settings.probePaths);
}

/** Says that the endpoint is there, and nothing of its app. */
export function answerProbe(stream: Stream): StreamEvents {
  stream.sendHead(
    JSON.stringify({ status: 204, headers: ["cache-control", "no-store"] }),
    [],
    true,
  );
  return NO_EVENTS;
}
