/**
 * The base domain itself: the API, the dashboard, and the paths for agents and for the front. Hono
 * routes here; endpoints' own traffic never passes through it.
 */
import { Hono } from "hono";
import { problem } from "../../../routing/problem.ts";
import { agentApi } from "../agent-api/agent-api.ts";
import { announceConnection } from "../edge/client-address.ts";
import { answerCertificateName, CERTIFICATE_NAMES_PATH } from "../edge/certificate-names.ts";
import { HALF_CLOSED_PATH, noticeHalfClosed } from "../edge/half-closed.ts";
import type { Env } from "../../contracts/env.ts";
import { DASHBOARD_HEADERS, dashboardPage } from "./dashboard.ts";
import { v1 } from "./v1.ts";

const app = new Hono<{ Bindings: Env }>();

app.get("/", ({ env, body }) =>
  body(dashboardPage(env.POSTERN_BASE_DOMAIN), 200, DASHBOARD_HEADERS),
);

app.all("/", (context) => {
  const accept = context.req.header("accept") ?? null;
  const { status, headers, body } = problem("method_not_allowed", "/ takes GET, HEAD", { accept });
  // RFC 9110, 15.5.6.
  return new Response(body, { status, headers: { ...headers, allow: "GET, HEAD" } });
});

app.route("/", agentApi);

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
  if (target === HALF_CLOSED_PATH) return noticeHalfClosed(request, env);
  if (target === CERTIFICATE_NAMES_PATH) return answerCertificateName(request, env, context);
  if (target.startsWith("/api/")) return v1.fetch(request, env, context);
  return app.fetch(request, env, context);
}
