/** The keys that have their place and no effect yet. They are refused, so that nobody counts on them. */
import { list, text } from "../values.ts";
import { later } from "./key.ts";

export const LATER_KEYS = {
  custom_domains: later(
    list(
      text(/^(\*\.)?([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z0-9-]+$/i, "must be a domain name"),
      'must be a list of domain names, such as ["api.example.com", "*.example.net"]',
    ),
    { meaning: "Domains of your own.", example: '["api.example.com"]' },
  ),
};
