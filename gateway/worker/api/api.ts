/**
 * The base domain itself: the API, the landing page, and the doors for agents and for the front. Hono
 * routes here; endpoints' own traffic never passes through it.
 */
import { Hono } from "hono";
import { problem } from "../../../routing/problem.ts";
import { agentApi } from "../agent-api/agent-api.ts";
import { announceConnection } from "../edge/client-address.ts";
import type { Env } from "../../contracts/env.ts";
import { originStub } from "../../contracts/stubs.ts";
import { VERB } from "../../contracts/link.ts";
import { landingPage } from "./landing-page.ts";
import { callerOf } from "./caller.ts";
import { v1 } from "./v1.ts";

const app = new Hono<{ Bindings: Env }>();

app.get("/", (context) => context.html(landingPage(context.env.POSTERN_BASE_DOMAIN)));

app.route("/", agentApi);

/** Fault injection: resets the object of one link, as an eviction or a deploy would. */
app.post("/_postern/test/abort-origin", async (context) => {
  if (context.env.POSTERN_TEST_HOOKS !== "1") return context.notFound();
  const { workspace } = await callerOf(context.req.raw.headers, context.env, "admin");
  const { box = "", link = "0" } = context.req.query();
  await originStub(context.env, workspace, box, Number(link))
    .fetch(VERB.abort)
    .catch(() => undefined);
  return context.body(null, 204);
});

app.notFound((context) => {
  const path = new URL(context.req.url).pathname;
  const accept = context.req.header("accept") ?? null;
  const { status, headers, body } = problem("not_found", `nothing is at ${path}`, { accept });
  return new Response(body, { status, headers });
});

/** Answers a request to the base domain. */
export function api(
  request: Request,
  env: Env,
  context: ExecutionContext,
  target: string,
): Response | Promise<Response> {
  if (target === "/_postern/connection") return announceConnection(request, env);
  if (target.startsWith("/api/")) return v1.fetch(request, env, context);
  return app.fetch(request, env, context);
}
