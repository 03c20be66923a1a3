/** `/domains`. Custom domains of a workspace, which serve nothing until DNS proves them. */
import * as z from "zod";
import { DOMAIN_STATES } from "../routing/domain-states.ts";
import { apiOperation } from "./operation.ts";
import { MAX_DOMAINS } from "./limits.ts";
import { PAGE_QUERY, pageOf, TIME } from "./schemas.ts";

const TAG = "domains";

const RECORD = z.object({
  type: z.enum(["TXT", "CNAME", "A", "AAAA"]),
  name: z.string(),
  value: z.string(),
  purpose: z
    .enum(["proof", "address"])
    .meta({ description: "What it is for: to prove the domain, or to bring its clients here" }),
});

const DOMAIN = {
  name: "Domain",
  schema: z.object({
    domain: z.string().meta({ description: "In A-label form; a star stands for one label" }),
    state: z.enum(DOMAIN_STATES).meta({ description: "A verified one alone serves" }),
    detail: z.string().meta({ description: "The last answer of DNS, where it was not the proof" }),
    hostname: z
      .string()
      .nullable()
      .meta({
        description:
          "On Cloudflare, what its custom hostname waits for, empty where it serves; null where there is none, or it was " +
          "not looked at lately",
      }),
    address: z
      .string()
      .nullable()
      .meta({
        description:
          "What DNS has where the domain's clients don't come here, empty where they do; null where DNS does not tell, or " +
          "was not asked lately",
      }),
    records: z.array(RECORD).meta({
      description:
        "To set in DNS: the proof, and either the CNAME or, where none can stand, as at the apex of a zone, the gateway's " +
        "own A and AAAA, as far as DNS was asked for them lately",
    }),
    created_at: TIME,
    created_by: z.string().meta({ description: "The API token that made it" }),
    verified_at: TIME.nullable(),
    checked_at: TIME.nullable(),
    missing_since: TIME.nullable().meta({ description: "Since when the proof is gone" }),
    lapses_at: TIME.nullable().meta({ description: "Unless the proof comes back before" }),
  }),
};

/** A domain as the API shows it. */
export type ApiDomain = z.output<typeof DOMAIN.schema>;

export const LIST_DOMAINS = apiOperation({
  id: "listDomains",
  method: "get",
  path: "/domains",
  tag: TAG,
  summary: "List the workspace's custom domains, newest first",
  needs: "read",
  query: PAGE_QUERY,
  response: { status: 200, ...pageOf(DOMAIN) },
});

export const ADD_DOMAIN = apiOperation({
  id: "addDomain",
  method: "put",
  path: "/domains/{domain}",
  tag: TAG,
  summary: `Add a custom domain, one of at most ${MAX_DOMAINS}`,
  description: "Idempotent: adding it again changes nothing.",
  needs: "deploy",
  response: { status: 200, ...DOMAIN },
});

export const VERIFY_DOMAIN = apiOperation({
  id: "verifyDomain",
  method: "post",
  path: "/domains/{domain}/verify",
  tag: TAG,
  summary: "Ask DNS now whether a domain is the workspace's",
  description:
    "Idempotent. A proof moves the domain here from any other workspace. Without one the domain " +
    "keeps its state, and `detail` says what DNS has.",
  needs: "deploy",
  response: { status: 200, ...DOMAIN },
});

export const REMOVE_DOMAIN = apiOperation({
  id: "removeDomain",
  method: "delete",
  path: "/domains/{domain}",
  tag: TAG,
  summary: "Forget a domain, which then serves nothing within 5 s",
  description: "Not idempotent: a domain that is not there is not found.",
  needs: "deploy",
});
