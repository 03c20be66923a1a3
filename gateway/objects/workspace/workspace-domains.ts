/** Puts a workspace's domains together: the resolver, the gateway's key, and `Names`. */
import { domainProof } from "../../../auth/domain-proof.ts";
import { domainTimes, type Env } from "../../contracts/env.ts";
import { gatewayKeys } from "../../contracts/keys.ts";
import { DEFAULT_RESOLVER, lookUpTxt } from "./dns-over-https.ts";
import { Domains } from "./domains.ts";
import { namesClient } from "./names-client.ts";

/** @param changed called when there is another check to wait for */
export function workspaceDomains(
  env: Env,
  workspace: string,
  sql: SqlStorage,
  changed: () => void,
): Domains {
  const resolver = env.POSTERN_DNS_OVER_HTTPS || DEFAULT_RESOLVER;
  const ask = async (url: string, init: RequestInit): Promise<Response> =>
    await (env.RESOLVER === undefined ? fetch(url, init) : env.RESOLVER.fetch(url, init));
  return new Domains({
    sql,
    workspace,
    baseDomain: env.POSTERN_BASE_DOMAIN,
    claims: namesClient(env),
    proofOf: async (domain) => await domainProof(await gatewayKeys(env), workspace, domain),
    lookUp: async (name) => await lookUpTxt(ask, resolver, name),
    times: domainTimes(env),
    changed,
  });
}
