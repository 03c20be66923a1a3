/** `/proxy-tokens`. Proxy tokens open a workspace's private endpoints. */
import * as z from "zod";
import {
  MAX_PATTERN_CHARACTERS,
  MAX_PATTERNS,
  PATH_PATTERN,
  PATH_PATTERN_RULE,
} from "../routing/wire/path-rules.ts";
import { isRate, RATE_DOCUMENT_PATTERN } from "../routing/wire/rate.ts";
import { MAX_CONCURRENT, MAX_DAILY_BUDGET } from "./limits.ts";
import { apiOperation } from "./operation.ts";
import {
  EXPIRES_IN,
  OBJECT_NAME,
  PAGE_QUERY,
  SECRET_FIELD,
  TOKEN_FIELDS,
  TOKEN_NAME,
  pageOf,
} from "./schemas.ts";

const TAG = "proxy tokens";

const MAX_RESTRICTIONS = 100;

const RESTRICTION = z.array(OBJECT_NAME).max(MAX_RESTRICTIONS);

const RESTRICTIONS = {
  environments: RESTRICTION.meta({ description: "Those whose endpoints it opens; empty: all" }),
  apps: RESTRICTION.meta({ description: "Those whose endpoints it opens; empty: all" }),
  paths: z
    .array(z.string().max(MAX_PATTERN_CHARACTERS).regex(PATH_PATTERN, PATH_PATTERN_RULE))
    .max(MAX_PATTERNS)
    .meta({ description: "Those that it opens; a `*` at an end stands for the rest; empty: all" }),
};

const RATE_LIMIT = z
  .string()
  .max(16)
  .refine(isRate, 'must be "N/S", requests a second and seconds of burst, such as "5/10"')
  .meta({
    pattern: RATE_DOCUMENT_PATTERN,
    description: "Requests a second, and seconds of burst: `5/10`",
  });

const DAILY = z.int().min(1).max(MAX_DAILY_BUDGET);

const DAILY_REQUESTS = DAILY.meta({ description: "Requests that it may send in a day (UTC)" });

const DAILY_CONTAINER_SECONDS = DAILY.meta({
  description: "Seconds of containers that its calls may take in a day (UTC)",
});

const CONCURRENT = z
  .int()
  .min(1)
  .max(MAX_CONCURRENT)
  .meta({ description: "Its calls that each box takes at a time, those that wait included" });

const PRIORITY = z
  .enum(["interactive", "batch"])
  .meta({ description: "Calls of `batch` tokens wait for those of all others" });

/** As they are chosen. */
const LIMITS = {
  rate_limit: RATE_LIMIT.nullable().optional(),
  daily_requests: DAILY_REQUESTS.nullable().optional(),
  daily_container_seconds: DAILY_CONTAINER_SECONDS.nullable().optional(),
  concurrent: CONCURRENT.nullable().optional(),
};

const PROXY_TOKEN = {
  name: "ProxyToken",
  schema: z.object({
    ...TOKEN_FIELDS,
    ...RESTRICTIONS,
    rate_limit: RATE_LIMIT.nullable(),
    daily_requests: DAILY_REQUESTS.nullable(),
    daily_container_seconds: DAILY_CONTAINER_SECONDS.nullable(),
    concurrent: CONCURRENT.nullable(),
    priority: PRIORITY,
  }),
};

/** A proxy token as the API shows it. */
export type ApiProxyToken = z.output<typeof PROXY_TOKEN.schema>;

export const LIST_PROXY_TOKENS = apiOperation({
  id: "listProxyTokens",
  method: "get",
  path: "/proxy-tokens",
  tag: TAG,
  summary: "List the workspace's proxy auth tokens, newest first",
  needs: "read",
  query: PAGE_QUERY,
  response: { status: 200, ...pageOf(PROXY_TOKEN) },
});

export const CREATE_PROXY_TOKEN = apiOperation({
  id: "createProxyToken",
  method: "post",
  path: "/proxy-tokens",
  tag: TAG,
  summary: "Make a proxy auth token",
  description:
    "Not idempotent: its secret is shown once and not kept, so that a repeated call could not be " +
    "answered again and makes another token instead. Revoke the one that got lost.",
  needs: "deploy",
  body: {
    name: "NewProxyToken",
    schema: z.strictObject({
      name: TOKEN_NAME,
      environments: RESTRICTIONS.environments.default([]),
      apps: RESTRICTIONS.apps.default([]),
      paths: RESTRICTIONS.paths.default([]),
      ...LIMITS,
      priority: PRIORITY.default("interactive"),
      expires_in: EXPIRES_IN,
    }),
  },
  response: {
    status: 201,
    name: "CreatedProxyToken",
    schema: PROXY_TOKEN.schema.extend(SECRET_FIELD),
  },
});

export const UPDATE_PROXY_TOKEN = apiOperation({
  id: "updateProxyToken",
  method: "patch",
  path: "/proxy-tokens/{id}",
  tag: TAG,
  summary: "Change the limits of a proxy auth token, everywhere within 5 s",
  description:
    "Idempotent. A limit that is left out stays, and null takes it away. Raised, a budget that is spent " +
    "has the difference left.",
  needs: "deploy",
  body: {
    name: "ProxyTokenChange",
    schema: z.strictObject({ ...LIMITS, priority: PRIORITY.optional() }),
  },
  response: { status: 200, ...PROXY_TOKEN },
});

export const REVOKE_PROXY_TOKEN = apiOperation({
  id: "revokeProxyToken",
  method: "delete",
  path: "/proxy-tokens/{id}",
  tag: TAG,
  summary: "Revoke a proxy auth token, everywhere within 5 s",
  description: "Idempotent: revoking it again is answered alike.",
  needs: "deploy",
});
