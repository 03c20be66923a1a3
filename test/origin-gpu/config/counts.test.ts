/** Lists of postern.toml at their limits: as many as there may be, and one more. */
import { expect, test } from "vitest";
import { formatProblems, parseConfig } from "../../../origin-gpu/config/config.ts";

/** What is wrong with an endpoint that has this line; undefined where it is taken. */
function problemOf(line: string): string | undefined {
  const text = `app = "a"\n[[endpoint]]\nfunction = "f"\nupstream = "http://127.0.0.1:1"\n${line}\n`;
  const result = parseConfig(text, "/postern.toml");
  return result.ok ? undefined : formatProblems(result.problems);
}

const list = (count: number, item: (index: number) => string): string =>
  JSON.stringify(Array.from({ length: count }, (_, index) => item(index)));

const oidc = (emails: string): string =>
  `auth = { oidc = { issuer = "https://id.example", client_id = "postern", emails = ${emails} } }`;

test.each([
  [
    "paths that are denied",
    100,
    (count: number) => `paths = { deny = ${list(count, (n) => `/${n}`)} }`,
  ],
  [
    "paths that are allowed",
    100,
    (count: number) => `paths = { allow = ${list(count, (n) => `/${n}`)} }`,
  ],
  [
    "addresses that may sign in",
    100,
    (count: number) => oidc(list(count, (n) => `p${n}@example.com`)),
  ],
  ["rules of affinity", 16, (count: number) => `affinity = ${list(count, (n) => `header:x-${n}`)}`],
])("an endpoint has up to so many %s: %d", (_what, most, line) => {
  expect(problemOf(line(most - 1))).toBeUndefined();
  expect(problemOf(line(most))).toBeUndefined();
  expect(problemOf(line(most + 1))).toContain(`must be at most ${most} `);
});

test("a path has up to 256 characters", () => {
  const line = (length: number) => `paths = { deny = ["/${"x".repeat(length - 1)}"] }`;
  expect(problemOf(line(255))).toBeUndefined();
  expect(problemOf(line(256))).toBeUndefined();
  expect(problemOf(line(257))).toContain("must be a path as the app knows it");
});
