/** The keys that name an endpoint and say who may call it. */
import {
  CUSTOM_DOMAIN_PATTERN,
  CUSTOM_DOMAIN_RULE,
  MAX_ENDPOINT_DOMAINS,
} from "../../../routing/wire/custom-domains.ts";
import {
  MAX_PATTERN_CHARACTERS,
  MAX_PATTERNS,
  PATH_PATTERN,
  PATH_PATTERN_RULE,
} from "../../../routing/wire/path-rules.ts";
import { boolean, functionName, list, table, text } from "../values.ts";
import { AUTH_KEY } from "./auth.ts";
import { key } from "./key.ts";

const pathPatterns = () =>
  list(
    text(PATH_PATTERN, PATH_PATTERN_RULE).max(MAX_PATTERN_CHARACTERS, { error: PATH_PATTERN_RULE }),
    'must be a list of paths, such as ["/sleep", "/metrics*"]',
  ).max(MAX_PATTERNS, { error: `must be at most ${MAX_PATTERNS} paths` });

export const ENDPOINT_NAME_KEYS = {
  function: key(functionName(), {
    default: "required",
    meaning:
      "The endpoint's name within its app. Both make the label, `<app>-<function>`, in lower case: every run of other characters than ASCII letters, digits and dashes is one dash, dashes at the ends go.",
    example: '"chat"',
  }),
  label: key(
    text(
      /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/,
      "must be 1 to 63 lower-case letters, digits and dashes, no dash at either end",
    ),
    {
      default: "`<app>-<function>`",
      meaning:
        "The part of the host name after `<workspace>--`. A wrong one is refused rather than repaired.",
      example: '"speechify"',
    },
  ),
  requires_app_token: key(boolean(), {
    default: "`false`",
    meaning:
      "Callers need the app's own token, which its containers have as `POSTERN_APP_TOKEN`, or a call token, which an API token of scope deploy obtains. A proxy token gets 403. `postern serve app.py` sets it for functions that are called with pickles ([python.md](python.md)).",
    example: "true",
  }),
  custom_domains: key(
    list(
      text(CUSTOM_DOMAIN_PATTERN, CUSTOM_DOMAIN_RULE),
      'must be a list of domains, such as ["api.example.com", "*.example.net"]',
    ).max(MAX_ENDPOINT_DOMAINS, { error: `must be at most ${MAX_ENDPOINT_DOMAINS} domains` }),
    {
      default: "none",
      meaning:
        "Domains of your own at which the endpoint is served too, once they are verified ([domains.md](domains.md)). A star stands for one label. `postern serve` takes none.",
      example: '["api.example.com", "*.example.net"]',
    },
  ),
  requires_proxy_auth: key(boolean(), {
    default: "`false`",
    meaning: "Callers need a proxy token of the workspace; others get 401 and never reach the app.",
    example: "true",
  }),
  auth: AUTH_KEY,
  paths: key(table({ allow: pathPatterns().optional(), deny: pathPatterns().optional() }), {
    default: "all",
    meaning:
      "The paths that callers may ask for, and those that they may not, each with all below it; others get 404 `path_closed` and never reach the app. A `*` at a path's end stands for the rest. Encoded, doubled and dotted spellings of a path count as the path ([tokens.md](tokens.md#closed-paths)). Requests of Postern's own, such as `sleep`, are not restricted.",
    example: '{ deny = ["/sleep", "/wake_up", "/collective_rpc", "/metrics*"] }',
  }),
};
