/** The Worker's entry: its Durable Objects, and `fetch`, which runs one request (worker/edge/pipeline.ts). */
import type { Env } from "./contracts/env.ts";
import { observerOf } from "./contracts/observer.ts";
import { CLIENT_CLOSED, isAnnouncement, isLogged, logRequest } from "./worker/edge/access-log.ts";
import { serve } from "./worker/edge/pipeline.ts";
import { ownAddressOf } from "./worker/edge/client-address.ts";
import { afterUnreadBody } from "./worker/edge/unread-body.ts";
import { countRefusal } from "./worker/edge/refusal-counts.ts";
import { RequestContext } from "./worker/edge/request-context.ts";

export { Meter } from "./objects/meter/meter.ts";
export { Names } from "./objects/names/names.ts";
export { Origin } from "./objects/link/origin.ts";
export { Workspace } from "./objects/workspace/workspace.ts";

export default {
  async fetch(request, env, execution): Promise<Response> {
    const context = new RequestContext(request);
    if (!isLogged(env)) return await answer(context, env, execution);
    // A client that leaves ends this invocation: nothing after the wait would come.
    const onLeft = () => logRequest(env, context, CLIENT_CLOSED);
    request.signal.addEventListener("abort", onLeft);
    const response = await answer(context, env, execution);
    request.signal.removeEventListener("abort", onLeft);
    if (isAnnouncement(request, response, env)) return response;
    logRequest(env, context, context.hasLeft ? CLIENT_CLOSED : response);
    return response;
  },
} satisfies ExportedHandler<Env>;

/** The body of a request that was answered without it; undefined also where the platform sees to such bodies. */
function unreadBody(request: Request, env: Env): ReadableStream<Uint8Array> | undefined {
  if (request.bodyUsed || env.POSTERN_ONE_ISOLATE !== "1") return undefined;
  // A client that waits for a 100 has sent nothing (RFC 9110, 10.1.1).
  return request.headers.has("expect") ? undefined : (request.body ?? undefined);
}

/** Answers a request. An error that nobody expected becomes a code for the client and a line for the operator. */
async function answer(
  context: RequestContext,
  env: Env,
  execution: ExecutionContext,
): Promise<Response> {
  try {
    const response = await serve(context, env, execution);
    countRefusal(env, execution, context);
    const unread = unreadBody(context.request, env);
    return unread === undefined
      ? response
      : await afterUnreadBody(unread, response, {
          address: ownAddressOf(context.request, env),
          signal: context.request.signal,
        });
  } catch (error) {
    const stack = error instanceof Error ? error.stack : String(error);
    observerOf(env).notice(
      `request ${context.requestId}, call ${context.callId ?? "none"}: ${stack}`,
    );
    return context.refuse("internal_error", "");
  } finally {
    context.answered();
  }
}
