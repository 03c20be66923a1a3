/** The Worker's entry: its Durable Objects, and `fetch`, which runs one request (worker/edge/pipeline.ts). */
import type { Env } from "./contracts/env.ts";
import { CLIENT_CLOSED, isAnnouncement, logRequest } from "./worker/edge/access-log.ts";
import { serve } from "./worker/edge/pipeline.ts";
import { Visit } from "./worker/edge/request-context.ts";

export { Names } from "./objects/names/names.ts";
export { Origin } from "./objects/link/origin.ts";
export { Workspace } from "./objects/workspace/workspace.ts";

export default {
  async fetch(request, env, context): Promise<Response> {
    const visit = new Visit(request);
    if (env.POSTERN_LOG !== "json") return await serve(visit, env, context);
    // A client that leaves ends this invocation: nothing after the wait would come.
    const onLeft = () => logRequest(visit, CLIENT_CLOSED);
    request.signal.addEventListener("abort", onLeft);
    const response = await serve(visit, env, context);
    request.signal.removeEventListener("abort", onLeft);
    if (!isAnnouncement(request, response, env)) logRequest(visit, response);
    return response;
  },
} satisfies ExportedHandler<Env>;
