/** Whether this box takes a call. It refuses one before it begins it, so that the gateway may go on to another box. */
import { err, ok, type Result } from "../base/result.ts";
import type { RequestHead } from "../routing/wire/heads.ts";
import type { Failure } from "../routing/wire/messages.ts";
import type { PoolLoad } from "../routing/wire/pool-load.ts";
import { passesPathRules } from "../routing/wire/path-rules.ts";
import type { ServedFunction } from "./apps/served-function.ts";

/**
 * How a box stops. `followed`: another agent takes over what it has, and what waits for it. `leaving`: the same, and this
 * one takes nothing any more.
 */
export type Stopping = "followed" | "leaving" | "for_good" | undefined;

type AskedHead = Pick<RequestHead, "key" | "mayRefuse" | "session" | "websocket"> &
  Partial<Pick<RequestHead, "target">>;

/**
 * Calls of a key have one box for their home, and those of a session that is here have this one: they wait here.
 * @param head without a target where the question is whether it would take any
 */
export function admit(
  served: ServedFunction | undefined,
  head: AskedHead,
  stopping: Stopping,
): Result<ServedFunction, Failure> {
  const { target, websocket } = head;
  // Its calls wait here for the next agent.
  const isHeld = stopping === "followed" && websocket === undefined;
  if (stopping !== undefined && !isHeld) {
    const followed = stopping === "for_good" ? {} : { followed: true };
    return err({ code: "no_origin", detail: "the box is stopping", retryAfter: 5, ...followed });
  }
  if (served === undefined) {
    // Containers start when the URLs are known: a moment after the first welcome.
    return err({
      code: "no_origin",
      detail: "the box does not serve this endpoint",
      retryAfter: 1,
    });
  }
  if (websocket !== undefined && served.settings.kind.type === "wsgi") {
    return err({ code: "not_supported", detail: "a WSGI app takes no WebSockets" });
  }
  // The edge asks this too: with rules that are up to 5 s old, and an older gateway knows none.
  const { paths } = served.settings;
  if (paths !== undefined && target !== undefined && !passesPathRules(paths, target)) {
    return err({ code: "path_closed", detail: "" });
  }
  const selected = target === undefined ? undefined : served.select?.(target);
  return selected?.ok === false ? selected : admitTo(selected?.value ?? served, head, isHeld);
}

/**
 * @param served by the containers that the call would get to
 * @param isHeld no call begins there any more
 */
function admitTo(
  served: ServedFunction,
  { key, mayRefuse = false, session }: AskedHead,
  isHeld: boolean,
): Result<ServedFunction, Failure> {
  const isHere = session !== undefined && served.hasSession(session);
  if (served.isElsewhere && key === undefined && !isHere) {
    const detail = "another box has the endpoint's containers";
    // That one's agent may be on its way.
    return err({ code: "no_origin", detail, retryAfter: 1, followed: true });
  }
  if (!mayRefuse || isHere) return ok(served);
  if (served.load.room > 0 && !isHeld) return ok(served);
  const load = { ...loadOf(served), room: 0 };
  return err({ code: "queue_full", detail: "no container of the box has room", load });
}

/** The load for those who choose where a call waits. */
export function loadOf({ load, isBlocked }: Pick<ServedFunction, "load" | "isBlocked">): PoolLoad {
  return load.room === 0 && isBlocked ? { ...load, blocked: true } : load;
}
