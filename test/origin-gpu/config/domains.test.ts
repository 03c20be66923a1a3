/** Custom domains as postern.toml names them. */
import { expect, test } from "vitest";
import { formatProblems, parseConfig } from "../../../origin-gpu/config/config.ts";

function parsed(domains: readonly string[]): string {
  const text = `app = "a"\n[[endpoint]]\nfunction = "f"\nupstream = "http://127.0.0.1:1"\ncustom_domains = ${JSON.stringify(domains)}\n`;
  const result = parseConfig(text, "/postern.toml");
  return result.ok ? "taken" : formatProblems(result.problems);
}

test("an endpoint has up to twenty domains", () => {
  const domains = Array.from({ length: 21 }, (_, index) => `d${index}.example`);
  expect(parsed(domains.slice(1))).toBe("taken");
  expect(parsed(domains)).toContain("must be at most 20 domains");
});

test.each([
  "localhost",
  "API.example.com",
  "192.0.2.1",
  "a.*.example",
  "*.com",
  "-a.example",
  "a_b.example",
])("%s is no custom domain", (domain) => {
  expect(parsed([domain])).toContain(
    'must be a domain such as "api.example.com" or "*.example.net"',
  );
});
