/** What a gateway that speaks plain HTTP says where that is not what its URLs need, or what its operator may mean. */
import { expect, test } from "vitest";
import { directUrlOf, plainHttpNotices } from "../../cli/gateway/plain-http.ts";
import { type GatewayFlags, gatewaySettings } from "../../cli/gateway/settings.ts";

const DOMAIN = "example.com";

function said(flags: GatewayFlags) {
  const settings = gatewaySettings(flags, {});
  const domain = settings.baseDomain ?? "localhost:18621";
  return {
    notices: plainHttpNotices(settings, domain, 18_621),
    direct: directUrlOf(settings, domain, 18_621),
  };
}

test("a public base domain without --tls or a proxy: one notice, and the URL that works here", () => {
  const { notices, direct } = said({ "base-domain": DOMAIN });
  expect(notices).toEqual([expect.stringMatching(/^URLs are https:.*--tls.*proxy.*self-hosting/)]);
  expect(notices[0]).toContain("plain HTTP at http://127.0.0.1:18621");
  expect(direct).toBe("http://127.0.0.1:18621");
});

test("an address of the network without --tls: one notice", () => {
  for (const host of ["0.0.0.0", "::", "192.0.2.7"]) {
    const { notices, direct } = said({ host });
    expect(notices).toEqual([expect.stringMatching(/in plain HTTP.*--tls/)]);
    expect(direct).toBeUndefined();
  }
});

test("both: each is said, and the URL names an address that this machine can ask", () => {
  const { notices, direct } = said({ "base-domain": DOMAIN, host: "::" });
  expect(notices).toHaveLength(2);
  expect(direct).toBe("http://127.0.0.1:18621");
  expect(said({ "base-domain": DOMAIN, host: "::1" }).direct).toBe("http://[::1]:18621");
});

test.each<GatewayFlags>([
  {},
  { host: "localhost" },
  { host: "127.0.0.2" },
  { "base-domain": DOMAIN, tls: true },
  { "base-domain": DOMAIN, tls: true, host: "0.0.0.0" },
  { "base-domain": DOMAIN, "trusted-proxies": "127.0.0.1" },
  { "base-domain": DOMAIN, "trusted-proxies": "10.0.0.1", host: "0.0.0.0" },
])("nothing is said of %j", (flags) => {
  expect(said(flags)).toEqual({ notices: [], direct: undefined });
});
