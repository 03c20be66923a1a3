/** `/api/v1/domains`: the workspace's own domains. */
import {
  ADD_DOMAIN,
  type ApiDomain,
  LIST_DOMAINS,
  REMOVE_DOMAIN,
  VERIFY_DOMAIN,
} from "../../../api/domains.ts";
import { withoutPort } from "../../../routing/host.ts";
import { workspaceStub } from "../../contracts/stubs.ts";
import type { DomainInfo } from "../../contracts/workspace/domains.ts";
import { unlessRefused } from "./apps.ts";
import { pageRequest, toPage, toTime } from "./documents.ts";
import { type ApiHandler, handle } from "./operation-router.ts";

export const DOMAIN_HANDLERS: readonly ApiHandler[] = [
  handle(LIST_DOMAINS, async ({ env, caller, query }) => {
    const page = await workspaceStub(env, caller.workspace).listDomains(pageRequest(query));
    return toPage(page, (info) => toApiDomain(info, env.POSTERN_BASE_DOMAIN));
  }),
  handle(ADD_DOMAIN, async ({ env, caller, path: { domain } }) => {
    const added = await workspaceStub(env, caller.workspace).addDomain(domain, caller.token.id);
    return toApiDomain(unlessRefused(added), env.POSTERN_BASE_DOMAIN);
  }),
  handle(VERIFY_DOMAIN, async ({ env, caller, path: { domain } }) => {
    const checked = await workspaceStub(env, caller.workspace).verifyDomain(domain);
    return toApiDomain(unlessRefused(checked), env.POSTERN_BASE_DOMAIN);
  }),
  handle(REMOVE_DOMAIN, async ({ env, caller, path: { domain } }) => {
    unlessRefused(await workspaceStub(env, caller.workspace).removeDomain(domain));
  }),
];

function toApiDomain(info: DomainInfo, baseDomain: string): ApiDomain {
  const { domain, state, detail, hostname, address, proof, createdAt, createdBy } = info;
  const purpose = "address" as const;
  const time = (ms: number | null): string | null => (ms === null ? null : toTime(ms));
  return {
    domain,
    state,
    detail,
    hostname,
    address,
    records: [
      { type: "TXT", ...proof, purpose: "proof" },
      { type: "CNAME", name: domain, value: withoutPort(baseDomain), purpose },
      ...info.gatewayAddresses.map((record) => ({ ...record, name: domain, purpose })),
    ],
    created_at: toTime(createdAt),
    created_by: createdBy,
    verified_at: time(info.verifiedAt),
    checked_at: time(info.checkedAt),
    missing_since: time(info.missingSince),
    lapses_at: time(info.lapsesAt),
  };
}
