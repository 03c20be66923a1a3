import { resolve } from "node:path";
import { expect, test } from "vitest";
import { UsageError } from "../../cli/failure.ts";
import { gatewaySettings } from "../../cli/gateway/settings.ts";

test("without flags or variables the defaults hold", () => {
  expect(gatewaySettings({}, {})).toEqual({
    front: "auto",
    host: "127.0.0.1",
    port: 8787,
    state: resolve(".postern"),
    baseDomain: undefined,
    workspace: "local",
    log: "off",
    tls: undefined,
    variables: {
      POSTERN_REQUEST_TIMEOUT: "150",
      POSTERN_RATE_LIMIT: "200/5",
      POSTERN_REGION: "",
      POSTERN_MAX_BODY: "4294967296",
      POSTERN_TRUSTED_PROXIES: "",
      POSTERN_IDENTITY_HOSTS: "",
      POSTERN_DNS_OVER_HTTPS: "",
    },
  });
});

test("a flag wins over its variable, a variable over the default, and an empty one is none", () => {
  const environment = {
    POSTERN_RATE_LIMIT: "0",
    POSTERN_MAX_BODY: "5",
    POSTERN_REQUEST_TIMEOUT: "",
    POSTERN_BASE_DOMAIN: "GPU.example.com",
    POSTERN_LOG: "",
    POSTERN_DNS_OVER_HTTPS: "",
  };
  const { variables, baseDomain, log } = gatewaySettings({ "max-body": "7" }, environment);
  expect(variables).toMatchObject({
    POSTERN_RATE_LIMIT: "0",
    POSTERN_MAX_BODY: "7",
    POSTERN_REQUEST_TIMEOUT: "150",
  });
  expect(baseDomain).toBe("gpu.example.com");
  expect(log).toBe("off");
});

test.each([
  ["port", "65536"],
  ["port", "-1"],
  ["port", "http"],
  ["host", "gateway.example.com"],
  ["base-domain", "http://example.com"],
  ["base-domain", "-a.example.com"],
  ["base-domain", "example.com:99999"],
  ["base-domain", "example.com."],
  ["request-timeout", "0"],
  ["request-timeout", "2m"],
  ["rate-limit", "200"],
  ["rate-limit", "0.1/5"],
  ["rate-limit", "-1/5"],
  ["max-body", "4GiB"],
  ["max-body", "99999999999999999999"],
  ["trusted-proxies", "10.0.0.0/33"],
  ["region", "EU West"],
  ["dns-over-https", "http://dns.example/dns-query"],
  ["dns-over-https", "http://127.0.0.1.example/dns-query"],
  ["dns-over-https", "https://user:pass@dns.example/dns-query"],
  ["log", "yes"],
  ["front", "sometimes"],
] as const)("--%s %s is refused, never bent into something else", (flag, value) => {
  expect(() => gatewaySettings({ [flag]: value }, {})).toThrow(UsageError);
  expect(() => gatewaySettings({ [flag]: value }, {})).toThrow(`--${flag}: "${value}" is`);
});

test.each([
  ["base-domain", "localhost:9000"],
  ["request-timeout", "2.5"],
  ["rate-limit", "0"],
  ["rate-limit", "200/5"],
  ["rate-limit", "0.5/10"],
  ["max-body", "0"],
  ["dns-over-https", "https://dns.example/dns-query"],
  ["dns-over-https", "http://127.0.0.1:8053/dns-query"],
  ["dns-over-https", "http://[::1]:8053/dns-query"],
] as const)("--%s %s is taken", (flag, value) => {
  expect(() => gatewaySettings({ [flag]: value }, {})).not.toThrow();
});

const TLS = { tls: true, "base-domain": "example.com" } as const;

test("with --tls Caddy listens, the gateway is behind it, and its word on clients counts", () => {
  expect(gatewaySettings(TLS, {})).toMatchObject({
    host: "127.0.0.1",
    tls: { host: undefined, httpPort: 80, httpsPort: 443, trustedProxies: [] },
    variables: { POSTERN_TRUSTED_PROXIES: "127.0.0.1" },
  });
  const settings = gatewaySettings(
    { ...TLS, host: "192.0.2.1", "trusted-proxies": "10.0.0.0/8, fd00::/8" },
    {},
  );
  expect(settings).toMatchObject({
    host: "127.0.0.1",
    tls: { host: "192.0.2.1", trustedProxies: ["10.0.0.0/8", "fd00::/8"] },
    variables: { POSTERN_TRUSTED_PROXIES: "127.0.0.1,10.0.0.0/8, fd00::/8" },
  });
  const atPort = gatewaySettings({ ...TLS, "base-domain": "example.com:8443" }, {});
  expect(atPort.tls?.httpsPort).toBe(8443);
});

test.each([
  [{ tls: true }, "--tls needs a public name in --base-domain"],
  [{ tls: true, "base-domain": "localhost:8787" }, "--tls needs a public name"],
  [{ tls: true, "base-domain": "a.localhost" }, "--tls needs a public name"],
  [{ tls: true, "base-domain": "192.0.2.1" }, "--tls needs a public name"],
  [{ "https-port": "443" }, "--https-port has no meaning without --tls"],
  [{ "acme-email": "a@b.example" }, "--acme-email has no meaning without --tls"],
  [{ ...TLS, "https-port": "0" }, '--https-port: "0" is not a port number'],
  [{ ...TLS, "http-port": "443" }, '--http-port: "443" is the port of --https-port too'],
  [{ ...TLS, "acme-ca": "http://ca.example/dir" }, '--acme-ca: "http://ca.example/dir" is not'],
  [{ ...TLS, "acme-ca": "https://ca.example/{env.HOME}" }, "--acme-ca: "],
  [{ ...TLS, "acme-email": "a@b.example\n}" }, "--acme-email: "],
])("%j is refused", (flags, line) => {
  expect(() => gatewaySettings(flags, {})).toThrow(line);
});

test("a bad variable is named as what it is", () => {
  expect(() => gatewaySettings({}, { POSTERN_MAX_BODY: "lots" })).toThrow(
    /^POSTERN_MAX_BODY: "lots"/,
  );
});

test.each([
  ["POSTERN_LOG", "xml", 'POSTERN_LOG: "xml" is neither json nor off'],
  ["POSTERN_IDENTITY_HOSTS", "https://id.lan", 'POSTERN_IDENTITY_HOSTS: "https://id.lan" is not'],
  ["POSTERN_IDENTITY_HOSTS", "ID.lan", 'POSTERN_IDENTITY_HOSTS: "ID.lan" is not a list of hosts'],
  ["POSTERN_RATE_LIMIT", "many", 'POSTERN_RATE_LIMIT: "many" is not 0, or requests a second'],
  [
    "POSTERN_DNS_OVER_HTTPS",
    "dns.example",
    'POSTERN_DNS_OVER_HTTPS: "dns.example" is not an https',
  ],
])("%s=%s is refused by the variable's name", (variable, value, line) => {
  expect(() => gatewaySettings({}, { [variable]: value })).toThrow(line);
});
