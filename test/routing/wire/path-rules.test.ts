import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { PATH_PATTERN, passesPathRules } from "../../../routing/wire/path-rules.ts";

const DENIED = { deny: ["/sleep", "/v1/admin/*", "/metrics*"] };
const ALLOWED = { allow: ["/v1/*", "/health"] };

/** Spellings of `/sleep` that some server takes for it. */
const DISGUISES = [
  "/sleep",
  "/sleep?level=1",
  "/sleep/",
  "/sleep/x",
  "/SLEEP",
  "/sl%65ep",
  "/%73%6C%65%65%70",
  // Apps behind a proxy that decodes as well.
  "/sl%2565ep",
  "/sl%252565ep",
  "//sleep",
  "/./sleep",
  "/v1/../sleep",
  "/v1/..%2fsleep",
  "/v1/%2e%2e/sleep",
  "/v1/.%2E/sleep",
  "/v1%2f..%2fsleep",
  "/v1//../sleep",
  "/../sleep",
  "/sleep/.",
  "/x/..\\sleep",
  "/%5csleep",
  "\\sleep",
  // Starlette's `$` stands before a line break at the end.
  "/sleep%0A",
  "/sleep%0d%0a",
  "/sleep%00",
  "/sleep%00.png",
  "/sleep%20",
  "/sl%09eep",
  // Servlet containers.
  "/sleep;a=1",
  "/sleep;jsessionid=1/",
  "/v1/..;/sleep",
  "/;x/sleep",
  "/sleep;/../x",
  // An encoded mark that some server takes for the mark itself.
  "/sleep%3flevel=1",
  "/sleep%23x",
  // `new URL(request.url, base)` reads a host.
  "//evil.example/sleep",
  "/\\evil.example/sleep",
  "///evil.example/sleep",
  // IIS, overlong UTF-8, letters whose other case is ASCII, full width.
  "/%u0073leep",
  "/%c0%afsleep",
  "/%c1%b3leep",
  "/%C5%BFleep",
  "/%EF%BD%93leep",
];

describe("denied paths", () => {
  it.each(DISGUISES)("are refused as %s", (target) => {
    expect(passesPathRules(DENIED, target)).toBe(false);
  });

  it.each([
    "/",
    "/sleepy",
    "/v1/sleep",
    "/v1/models",
    "/v1/admin",
    "/?next=/sleep",
    "/x?/../sleep",
    "/is_sleeping",
    "/caf%C3%A9",
    "/v1/models/meta-llama%2FLlama-3",
    "/a%20b/c+d",
    "/file=/tmp/x.png",
    "/v1/chat/completions",
    "/%E6%97%A5%E6%9C%AC",
    "/100%",
    "/%zz",
  ])("are not %s", (target) => expect(passesPathRules(DENIED, target)).toBe(true));

  it.each(["/metrics", "/metricsx", "/metrics/prometheus", "/v1/admin/", "/v1/admin/keys"])(
    "stand for the rest with a star: %s",
    (target) => expect(passesPathRules(DENIED, target)).toBe(false),
  );

  it("are refused however they are spelt, by any chain of disguises", () => {
    const encode = (text: string, chosen: boolean[]) =>
      Array.from(text, (character, index) =>
        chosen[index % chosen.length] === true
          ? `%${character.charCodeAt(0).toString(16).padStart(2, "0")}`
          : character,
      ).join("");
    const chosen = fc.array(fc.boolean(), { minLength: 1, maxLength: 8 });
    const steps = fc.array(
      fc.oneof(
        chosen.map((which) => (path: string) => `/${encode(path.slice(1), which)}`),
        fc.constantFrom<(path: string) => string>(
          (path) => `/.${path}`,
          (path) => `/x/..${path}`,
          (path) => `/${path}`,
          (path) => `${path}/`,
          (path) => path.toUpperCase(),
        ),
      ),
      { maxLength: 5 },
    );
    fc.assert(
      fc.property(steps, (disguises) => {
        const target = disguises.reduce((path, disguise) => disguise(path), "/sleep");
        expect(passesPathRules(DENIED, target), target).toBe(false);
      }),
    );
  });
});

describe("allowed paths", () => {
  it.each([
    "/v1/models",
    "/v1/",
    "/v1/models?x=/../sleep",
    "/v1/models/meta-llama%2FLlama-3",
    "/v1/a%20b",
    "/v1/x;y=1",
    "/health?deep=1",
  ])("pass: %s", (target) => expect(passesPathRules(ALLOWED, target)).toBe(true));

  it.each([
    "/",
    "/v1",
    "/V1/models",
    "/health/",
    "/health/x",
    "/healthz",
    "/v1/../sleep",
    "/v1/%2e%2e/sleep",
    "/v1/%252e%252e/sleep",
    "/v1/..;/sleep",
    "/v1/..\\sleep",
    "/v1/x/../../sleep",
    "//v1/models",
    "/sleep?/v1/",
    "/health%0A",
    ...DISGUISES,
  ])("are not %s", (target) => expect(passesPathRules(ALLOWED, target)).toBe(false));

  it("and denied ones among them do not", () => {
    const both = { allow: ["/v1/*"], deny: ["/v1/admin"] };
    expect(passesPathRules(both, "/v1/models")).toBe(true);
    expect(passesPathRules(both, "/v1/admin")).toBe(false);
    expect(passesPathRules(both, "/v1/x/../admin")).toBe(false);
    expect(passesPathRules(both, "/sleep")).toBe(false);
  });
});

it("a path that is decoded without end, or odd and very long, passes no rules", () => {
  const deep = `/%${"25".repeat(10)}41`;
  expect(passesPathRules(DENIED, deep)).toBe(false);
  expect(passesPathRules(ALLOWED, `/v1/${deep}`)).toBe(false);
  expect(passesPathRules(DENIED, `/${"%20".repeat(10_000)}`)).toBe(false);
  expect(passesPathRules(DENIED, `/${"a".repeat(30_000)}`)).toBe(true);
});

it("any target is judged, and in little time", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (text) => {
      expect(typeof passesPathRules({ ...DENIED, ...ALLOWED }, `/${text}`)).toBe("boolean");
    }),
  );
  for (const part of ["/..", "//", ";/", "%2e", "\\", "%c0%af", "/%2e%2e%2f"]) {
    expect(passesPathRules({ ...DENIED, ...ALLOWED }, `/${part.repeat(30_000)}`)).toBe(false);
  }
});

describe("a pattern", () => {
  it.each([
    "/",
    "/*",
    "/v1/*",
    "/metrics*",
    "/.well-known/x",
    "/a/..b/...",
    "/file=x/@me",
    "/a.b/",
  ])("may be %s", (pattern) => expect(PATH_PATTERN.test(pattern)).toBe(true));

  it.each([
    "",
    "v1",
    "*",
    "/v1/**",
    "/*/x",
    "//",
    "/a//b",
    "/./a",
    "/a/..",
    "/%73",
    "/a b",
    "/a?b",
    "/é",
    "/a;b",
  ])("may not be %s", (pattern) => expect(PATH_PATTERN.test(pattern)).toBe(false));
});

describe("servers that read a path in steps of any order", () => {
  /** What servers do to a path, each at its place in their own order. */
  const STEPS: readonly ((path: string) => string)[] = [
    (path) => path.replaceAll(/%([0-9a-f]{2})/gi, (_, byte: string) => byteOf(byte)),
    (path) => path.replaceAll(/;[^/]*/g, ""),
    (path) => path.replaceAll("\\", "/"),
    (path) => path.replaceAll(/\/+/g, "/"),
    resolved,
  ];
  const byteOf = (hex: string) => String.fromCharCode(Number.parseInt(hex, 16));
  function resolved(path: string): string {
    const kept: string[] = [];
    for (const segment of path.split("/").slice(1)) {
      if (segment === "..") kept.pop();
      else if (segment !== ".") kept.push(segment);
    }
    return `/${kept.join("/")}`;
  }
  const pieces = fc.constantFrom(
    "v1",
    "a",
    "sleep",
    "..",
    ".",
    ";",
    "%3b",
    "/",
    "%2F",
    "%2e",
    "%252e",
    "%2500",
  );
  const paths = fc.array(pieces, { maxLength: 12 }).map((parts) => `/${parts.join("")}`);
  const servers = fc.array(fc.constantFrom(...STEPS), { maxLength: 6 });
  const below = fc.constantFrom("/v1/", "/");

  it("reach no denied path, and none beside the allowed ones", () => {
    fc.assert(
      fc.property(below, paths, servers, (prefix, end, steps) => {
        const target = prefix + end.slice(1);
        const read = steps.reduce((path, step) => step(path), target);
        if (passesPathRules(DENIED, target)) expect(read, target).not.toMatch(/^\/sleep(?:\/|$)/);
        if (passesPathRules({ allow: ["/v1/*"] }, target))
          expect(read, target).toMatch(/^\/v1(?:\/|$)/);
      }),
      { numRuns: 5_000 },
    );
  });

  it.each([
    // Tomcat drops parameters before it decodes.
    ["/v1/a/%2e%2e;%2Fb/%2e%2e/sleep", { allow: ["/v1/*"] }],
    ["/a/%73leep;x%2Fy/z", { deny: ["/a/sleep/z"] }],
  ])("are refused %s", (target, rules) => expect(passesPathRules(rules, target)).toBe(false));
});
