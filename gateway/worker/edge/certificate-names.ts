/**
 * Which names a certificate may be made for, asked by the runner for the TLS proxy that it has started
 * (cli/gateway/tls/). A certificate costs its authority work and counts for limits there, so only names that are served
 * get one. The answer also says whose choice the name was: below a wildcard strangers choose it.
 */
import * as z from "zod";
import { parseHost } from "../../../routing/host.ts";
import type { Env } from "../../contracts/env.ts";
import { lookup } from "./routes.ts";

export const CERTIFICATE_NAMES_PATH = "/_postern/certificate-names";

const QUESTION = z.object({ name: z.string() });

/**
 * `chosen`: the base domain, an endpoint's name, or a domain that an endpoint has. `below_wildcard`: a wildcard of an
 * endpoint's serves it. `unserved`: everything else, lapsed domains and stopped apps among it. `unknown`: the registry
 * of names did not answer.
 */
type CertificateName = "chosen" | "below_wildcard" | "unserved" | "unknown";

/** Answers the runner's question about one name. A request without this process's secret gets 404. */
export async function answerCertificateName(
  request: Request,
  env: Env,
  execution: ExecutionContext,
): Promise<Response> {
  const expected = env.POSTERN_TLS_SECRET;
  if (!expected || request.headers.get("postern-tls-secret") !== expected) {
    return new Response(null, { status: 404 });
  }
  const { name } = QUESTION.parse(await request.json());
  return Response.json({ name: await certificateName(env, execution, name) });
}

async function certificateName(
  env: Env,
  execution: ExecutionContext,
  text: string,
): Promise<CertificateName> {
  const host = parseHost(text, env.POSTERN_BASE_DOMAIN);
  // A certificate's name has no capitals, no port, and no dot at its end.
  if (!host.ok || text.includes(":") || host.value.authority !== text) return "unserved";
  if (host.value.kind === "base") return "chosen";
  const found = await lookup(env, execution, host.value.name);
  if ("unavailable" in found) return "unknown";
  const { snapshot } = found;
  if (snapshot === undefined || "stopped" in snapshot) return "unserved";
  const isChosen =
    host.value.kind === "endpoint" || snapshot.settings.customDomains?.includes(text) === true;
  return isChosen ? "chosen" : "below_wildcard";
}
