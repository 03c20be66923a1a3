/** The calls that this box refuses before it begins them, so that the gateway may go on to another box. */
import type { RequestHead } from "../routing/wire/heads.ts";
import type { Failure } from "../routing/wire/messages.ts";
import type { ServedFunction } from "./apps/app-version.ts";

/** Whether a box takes the call. Calls of a key have one box for their home, and wait for its containers there. */
export function takesCall(
  served: ServedFunction | undefined,
  { key }: RequestHead,
): served is ServedFunction {
  return served !== undefined && (!served.isElsewhere || key !== undefined);
}

export function refusalOf(served: ServedFunction | undefined, isDraining: boolean): Failure {
  if (isDraining) return { code: "no_origin", detail: "the box is stopping", retryAfter: 5 };
  const detail =
    served === undefined
      ? // Containers start when the URLs are known: a moment after the first welcome.
        "the box does not serve this endpoint"
      : "another box has the endpoint's containers";
  return { code: "no_origin", detail, retryAfter: 1 };
}
