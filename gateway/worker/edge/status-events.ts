/** A call's status events: the link's object writes them, and the runtime passes them on. */
import { askLink } from "../../contracts/ask-link.ts";
import { discardBody } from "../../contracts/attempt.ts";
import type { Env } from "../../contracts/env.ts";
import { HEAD, VERB, WAIT } from "../../contracts/link.ts";
import { tryCandidates } from "../proxy/candidates.ts";
import type { CallPlace } from "../proxy/link-client.ts";
import type { RequestContext } from "./request-context.ts";

const HEADERS = [
  "content-type",
  "text/event-stream",
  "cache-control",
  "no-store",
  "referrer-policy",
  "no-referrer",
];

/** Answers with the events of a call, until it ends. */
export async function statusEvents(
  env: Env,
  context: RequestContext,
  { callId, workspace, box, links }: CallPlace,
): Promise<Response> {
  const call = { callId, workspace, boxes: [{ box, links }] };
  const { attempt } = await tryCandidates(env, call, async ({ place, link, wait }) => {
    const headers: Record<string, string> = { [HEAD]: callId };
    if (wait !== undefined) headers[WAIT] = wait;
    return await askLink(env, place, link, VERB.watch, { headers });
  });
  if (attempt.kind === "failed") return context.fail(attempt.failure);
  if (attempt.kind !== "response") return context.refuse("origin_error", "the box sent no events");
  if (context.request.method !== "HEAD") return context.respond(200, HEADERS, attempt.body);
  await discardBody(attempt.body);
  return context.respond(200, HEADERS, null);
}
