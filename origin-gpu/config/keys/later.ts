/** The keys that have their place and no effect yet. They are refused, so that nobody counts on them. */
import { httpUrl, list, table, text } from "../values.ts";
import { later, nonEmptyText } from "./key.ts";

export const LATER_KEYS = {
  custom_domains: later(
    list(
      text(/^(\*\.)?([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z0-9-]+$/i, "must be a domain name"),
      'must be a list of domain names, such as ["api.example.com", "*.example.net"]',
    ),
    { meaning: "Domains of your own.", example: '["api.example.com"]' },
  ),
  auth: later(
    table({
      jwt: table({
        issuer: nonEmptyText("must be the issuer's name"),
        audience: nonEmptyText("must be the audience's name"),
        jwks_url: httpUrl(),
      }),
    }),
    {
      meaning: "Tokens of somebody else that open the endpoint.",
      example:
        '{ jwt = { issuer = "https://example.com", audience = "chat", jwks_url = "https://example.com/jwks" } }',
    },
  ),
};
