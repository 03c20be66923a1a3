/** Puts a workspace's domains together: the resolver, the gateway's key, and `Names`. */
import { domainProof } from "../../../auth/domain-proof.ts";
import { domainTimes, type Env } from "../../contracts/env.ts";
import { gatewayKeys } from "../../contracts/keys.ts";
import { CloudflareHostnames, type CustomHostnames } from "./custom-hostnames.ts";
import { DEFAULT_RESOLVER, type Fetch, lookUpRecords } from "./dns-over-https.ts";
import { Domains } from "./domains.ts";
import { namesClient } from "./names-client.ts";

const CLOUDFLARE_API = "https://api.cloudflare.com/client/v4";

/** @param changed called when there is another check to wait for */
export function workspaceDomains(
  env: Env,
  workspace: string,
  sql: SqlStorage,
  changed: () => void,
): Domains {
  const resolver = env.POSTERN_DNS_OVER_HTTPS || DEFAULT_RESOLVER;
  const ask: Fetch = async (url, init) =>
    await (env.RESOLVER === undefined ? fetch(url, init) : env.RESOLVER.fetch(url, init));
  return new Domains({
    sql,
    workspace,
    baseDomain: env.POSTERN_BASE_DOMAIN,
    claims: namesClient(env),
    proofOf: async (domain) => await domainProof(await gatewayKeys(env), workspace, domain),
    lookUp: async (question) => await lookUpRecords(ask, resolver, question),
    times: domainTimes(env),
    hostnames: hostnamesOf(env, ask),
    changed,
  });
}

/** Undefined where no zone is named: something else has the certificates there. */
function hostnamesOf(env: Env, fetch: Fetch): CustomHostnames | undefined {
  const { POSTERN_CLOUDFLARE_ZONE: zone, POSTERN_CLOUDFLARE_TOKEN: token } = env;
  if (!zone || !token) return undefined;
  const api = env.POSTERN_CLOUDFLARE_API || CLOUDFLARE_API;
  return new CloudflareHostnames({ fetch, api, zone, token });
}
