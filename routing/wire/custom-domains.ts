/** Custom domains as an endpoint names them; the gateway judges them by routing/domains.ts. */

/** A name of two labels or more in lower case, or a wildcard: a star for one label above such a name. */
export const CUSTOM_DOMAIN_PATTERN =
  /^(?=.{3,236}$)(\*\.)?([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+(?!\d+$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;

export const CUSTOM_DOMAIN_RULE =
  'must be a domain such as "api.example.com" or "*.example.net", in lower case and A-label form';

/** Of one endpoint. Each is a name in the registry. */
export const MAX_ENDPOINT_DOMAINS = 20;
