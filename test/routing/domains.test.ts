import fc from "fast-check";
import { describe, expect, test } from "vitest";

import {
  challengeName,
  domainOfRoute,
  domainRoute,
  domainsMatching,
  hostnameOf,
  isAmong,
  MAX_DOMAIN_LENGTH,
  otherForm,
  ownedByGateway,
  parseDomain,
  shardKeyOf,
} from "../../routing/domains.ts";
import { parseHost } from "../../routing/host.ts";

const LABEL = fc.stringMatching(/^[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?$/);
const LETTERS = fc.stringMatching(/^[a-z]{2,6}$/);
const NAME = fc
  .tuple(fc.array(LABEL, { minLength: 1, maxLength: 5 }), LETTERS)
  .map(([labels, last]) => [...labels, last].join("."));
const DOMAIN = fc.tuple(fc.boolean(), NAME).map(([star, name]) => (star ? `*.${name}` : name));

describe("parsing a custom domain", () => {
  test.each([
    ["example.com", "example.com"],
    ["api.Example.COM", "api.example.com"],
    ["*.example.net", "*.example.net"],
    ["xn--bcher-kva.example", "xn--bcher-kva.example"],
    ["*.co.uk", "*.co.uk"],
    [`${"a".repeat(63)}.example`, `${"a".repeat(63)}.example`],
  ])("%s is one", (text, domain) => {
    expect(parseDomain(text)).toEqual({ ok: true, value: domain });
  });

  test.each([
    ["", /two labels/],
    ["com", /two labels/],
    ["*.com", /two labels/],
    ["*", /star/],
    ["*.*.example.com", /star/],
    ["a.*.example.com", /star/],
    ["a*.example.com", /star/],
    ["bücher.example", /xn--bcher-kva/],
    ["192.0.2.1", /IP address/],
    ["*.192.0.2.1", /IP address/],
    ["[2001:db8::1]", /IP address/],
    ["2001:db8::1", /IP address/],
    ["example.com.", /not a domain name/],
    [".example.com", /not a domain name/],
    ["a..example.com", /not a domain name/],
    ["-a.example.com", /not a domain name/],
    ["a-.example.com", /not a domain name/],
    ["a_b.example.com", /not a domain name/],
    ["example.123", /not a domain name/],
    ["example.com:443", /not a domain name/],
    ["https://example.com", /not a domain name/],
    ["a b.example.com", /not a domain name/],
    [`${"a".repeat(64)}.example`, /not a domain name/],
    ["a".repeat(5_000), /longer/],
  ])("%s is none", (text, why) => {
    const parsed = parseDomain(text);
    expect(parsed.ok ? "" : parsed.error).toMatch(why);
  });

  test("the longest one leaves room for the name of its proof", () => {
    const name = (length: number) => "a.".repeat(200).slice(0, length - 2) + "aa";
    expect(parseDomain(name(MAX_DOMAIN_LENGTH)).ok).toBe(true);
    expect(challengeName(name(MAX_DOMAIN_LENGTH))).toHaveLength(253);
    expect(parseDomain(name(MAX_DOMAIN_LENGTH + 1)).ok).toBe(false);
  });

  test("any text is a domain in its one spelling, or refused; each domain is one that a host can match", () => {
    fc.assert(
      fc.property(fc.oneof(DOMAIN, fc.string(), fc.webAuthority()), (text) => {
        const parsed = parseDomain(text);
        if (!parsed.ok) return;
        expect(parseDomain(parsed.value)).toEqual(parsed);
        const host = parsed.value.replace("*", "x");
        expect(parseHost(host, "localhost:8787")).toMatchObject({
          ok: true,
          value: { kind: "custom" },
        });
        expect(domainsMatching(host)).toContain(parsed.value);
      }),
    );
  });
});

test.each([
  ["gw.example.com", true],
  ["a.gw.example.com", true],
  ["*.gw.example.com", true],
  ["example.com", false],
  ["*.example.com", false],
  ["agw.example.com", false],
])("%s is the gateway's own name: %s", (domain, own) => {
  expect(ownedByGateway(domain, "GW.example.com:8443") !== undefined).toBe(own);
});

describe("matching a host", () => {
  test("an exact name comes before a wildcard, whose star is one label deep", () => {
    expect(domainsMatching("a.b.example.net")).toEqual(["a.b.example.net", "*.b.example.net"]);
    expect(domainsMatching("example.net")).toEqual(["example.net"]);
  });

  test("whatever matches a host, and its route in any workspace, lives in the host's shard", () => {
    fc.assert(
      fc.property(NAME, fc.stringMatching(/^[A-Za-z0-9._-]{1,64}$/), (host, workspace) => {
        for (const domain of domainsMatching(host)) {
          expect(shardKeyOf(domain)).toBe(shardKeyOf(host));
          const route = domainRoute(workspace, domain);
          expect(shardKeyOf(route)).toBe(shardKeyOf(host));
          expect(domainOfRoute(route)).toBe(domain);
        }
      }),
    );
  });

  test("an endpoint's name is its own shard's key, as before there were domains", () => {
    expect(shardKeyOf("ecorp--chat")).toBe("ecorp--chat");
    expect(domainOfRoute("ecorp--chat")).toBeUndefined();
  });

  test("a wildcard covers the names one label below it, and no wildcard covers a wildcard", () => {
    const had = new Set(["*.example.net", "example.com"]);
    expect(isAmong("a.example.net", had)).toBe(true);
    expect(isAmong("*.example.net", had)).toBe(true);
    expect(isAmong("example.com", had)).toBe(true);
    expect(isAmong("a.b.example.net", had)).toBe(false);
    expect(isAmong("*.b.example.net", had)).toBe(false);
    expect(isAmong("example.net", had)).toBe(false);
    expect(isAmong("a.example.com", had)).toBe(false);
  });
});

test("a wildcard is proved at the name below its star", () => {
  expect(challengeName("*.example.net")).toBe("_postern-challenge.example.net");
  expect(challengeName("api.example.com")).toBe("_postern-challenge.api.example.com");
});

test("a name and its wildcard share a platform's hostname, and each is the other's other form", () => {
  expect(hostnameOf("*.shop.example")).toEqual({ hostname: "shop.example", isWildcard: true });
  expect(hostnameOf("shop.example")).toEqual({ hostname: "shop.example", isWildcard: false });
  expect(otherForm("*.shop.example")).toBe("shop.example");
  expect(otherForm("shop.example")).toBe("*.shop.example");
});
