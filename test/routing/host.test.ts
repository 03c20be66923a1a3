import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseHost } from "../../routing/host.ts";
import { rawTarget } from "../../routing/target.ts";

const BASE = "localhost:8787";

describe("a Host header", () => {
  it.each([
    ["localhost", "localhost"],
    ["localhost:8787", "localhost:8787"],
    ["LocalHost.:9000", "localhost:9000"],
    ["localhost:", "localhost"],
  ])("%s is the base domain", (header, authority) => {
    expect(parseHost(header, BASE)).toEqual({ ok: true, value: { kind: "base", authority } });
  });

  it.each([
    ["ecorp--demo-chat.localhost:8787", "ecorp--demo-chat", "ecorp--demo-chat.localhost:8787"],
    ["ECORP--Demo.LOCALHOST.", "ecorp--demo", "ecorp--demo.localhost"],
    ["a--b.localhost:1", "a--b", "a--b.localhost:1"],
    [`${"a".repeat(63)}.localhost`, "a".repeat(63), `${"a".repeat(63)}.localhost`],
  ])("%s is an endpoint, whatever its case, dot and port", (header, name, authority) => {
    expect(parseHost(header, BASE)).toEqual({
      ok: true,
      value: { kind: "endpoint", name, authority },
    });
  });

  it.each([
    "ecorp.localhost",
    "-a--b.localhost",
    "a--b-.localhost",
    "a--.localhost",
    "a--b_c.localhost",
    "a--b.c.localhost",
    "c.a--b.localhost",
    `a--${"b".repeat(61)}.localhost`,
    `${"a".repeat(62)}.localhost`,
  ])("%s is under the base domain and no endpoint's name", (header) => {
    expect(parseHost(header, BASE)).toMatchObject({ error: { code: "no_such_endpoint" } });
  });

  it.each([
    "",
    ".",
    "a, b",
    "a,b",
    "a@b",
    "a/x?y",
    "a?x",
    "a#x",
    "a\\b",
    "a b",
    " localhost",
    "a:80x",
    "a:80:90",
    "a:-1",
    "a:65536",
    "a:8 0",
    ":80",
    "a%41",
    "a..b",
    "a..",
    ".a",
    "a--b..localhost",
    "é.localhost",
    "a--b\u0000.localhost",
    "\u212aube--a.localhost",
    `${"a.".repeat(127)}a`,
    "[::1",
    "[::1]x",
    "[::1]:80x",
    "[]",
    "[g::1]",
    "a".repeat(100_000),
  ])("%j is malformed", (header) => {
    expect(parseHost(header, BASE)).toMatchObject({ error: { code: "bad_request" } });
  });

  it.each(["127.0.0.1:8787", "[::1]:8787", "intranet", "a_b.example", "-a.example", "a-.example"])(
    "%s can be neither ours nor a custom domain",
    (header) => {
      expect(parseHost(header, BASE)).toMatchObject({ error: { code: "wrong_host" } });
    },
  );

  it("a refused host is told which hosts are right", () => {
    expect(parseHost("127.0.0.1:8787", "localhost:8787")).toMatchObject({
      error: {
        detail:
          "127.0.0.1 is not served here; endpoints are at <workspace>--<app>-<function>.localhost:8787",
      },
    });
  });

  it.each([
    ["API.Example.COM.:443", "api.example.com", "api.example.com:443"],
    ["xlocalhost.example", "xlocalhost.example", "xlocalhost.example"],
    ["a--b.localhost.example", "a--b.localhost.example", "a--b.localhost.example"],
  ])("%s may be a custom domain", (header, host, authority) => {
    expect(parseHost(header, BASE)).toEqual({
      ok: true,
      value: { kind: "custom", name: host, authority },
    });
  });

  it("is not under a base domain that it merely ends with", () => {
    expect(parseHost("evil--xexample.com", "example.com")).toMatchObject({
      value: { kind: "custom" },
    });
    expect(parseHost("xlocalhost", BASE)).toMatchObject({ error: { code: "wrong_host" } });
  });

  it("may be an address where the base domain is one", () => {
    expect(parseHost("127.0.0.1:9", "127.0.0.1:8787")).toMatchObject({ value: { kind: "base" } });
    expect(parseHost("[::1]:9", "[::1]:8787")).toEqual({
      ok: true,
      value: { kind: "base", authority: "[::1]:9" },
    });
    expect(parseHost("[::1]", "[::1]")).toEqual({
      ok: true,
      value: { kind: "base", authority: "[::1]" },
    });
  });

  it("never yields more than letters, digits, dashes, dots and a port", () => {
    const header = fc.oneof(
      fc.string({ unit: "binary" }),
      fc.stringMatching(/^[A-Za-z0-9._:@/, [\]-]{0,40}$/),
      fc.stringMatching(/^[a-z0-9-]{0,10}--[a-z0-9-]{0,10}\.localhost(:\d{0,5})?$/),
    );
    fc.assert(
      fc.property(header, (header) => {
        const host = parseHost(header, BASE);
        if (!host.ok) return;
        expect(host.value.authority).toMatch(/^[a-z0-9_.-]+(:\d{1,5})?$/);
        expect(parseHost(host.value.authority, BASE)).toEqual(host);
      }),
      { numRuns: 5000 },
    );
  });
});

describe("a raw target", () => {
  // Left: what workerd's request.url is for the target at the right (or for an absolute form of it).
  it.each([
    ["http://a.localhost:8787/a/../../etc/%2e%2e/x%2fy", "/a/../../etc/%2e%2e/x%2fy"],
    ["http://a.localhost:8787//x/y?q", "//x/y?q"],
    ["http://a.localhost:8787/?", "/?"],
    ["http://a.localhost:8787/a??", "/a??"],
    ["http://a.localhost:8787/http://x/y", "/http://x/y"],
    ["http://a.localhost:8787/é?é", "/é?é"],
    ["http://a.localhost:8787/a\\b", "/a\\b"],
    ["http://a.localhost:8787/%zz", "/%zz"],
    ["https://a.example/", "/"],
    ["http://[::1]:80/p/../q", "/p/../q"],
  ])("of %s is %s", (url, target) => {
    expect(rawTarget(url)).toBe(target);
  });

  it("is none for OPTIONS *", () => {
    expect(rawTarget("http://a.localhost:8787*")).toBeUndefined();
  });

  it("is at most 32 Ki characters", () => {
    expect(rawTarget(`http://a/${"x".repeat(32 * 1024 - 1)}`)).toHaveLength(32 * 1024);
    expect(rawTarget(`http://a/${"x".repeat(32 * 1024)}`)).toBeUndefined();
  });
});
