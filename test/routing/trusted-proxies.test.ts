import fc from "fast-check";
import { expect, it, test } from "vitest";
import {
  type ForwardedFields,
  parseTrustedProxies,
  proxiedClient,
} from "../../routing/trusted-proxies.ts";

const NONE: ForwardedFields = { addresses: null, schemes: null, forwarded: null };

function clientOf(proxies: string, peer: string, fields: Partial<ForwardedFields>) {
  const parsed = parseTrustedProxies(proxies);
  if (!parsed.ok) throw new Error(parsed.error);
  return proxiedClient(parsed.value, peer, { ...NONE, ...fields });
}

it.each(["10.0.0.0/8", "192.0.2.1", "fd00::/8, ::1", "::ffff:10.0.0.0/8", "0.0.0.0/0", ""])(
  "reads %j",
  (text) => expect(parseTrustedProxies(text).ok).toBe(true),
);

it.each(["10.0.0.0/33", "10.0.0", "proxy.example.com", "fd00::/129", "1::2::3", "10.0.0.0/", "*"])(
  "refuses %j",
  (text) => expect(parseTrustedProxies(text)).toEqual({ ok: false, error: text }),
);

test("a peer that is not trusted is the client, whatever it writes", () => {
  const forged = { addresses: "1.1.1.1", schemes: "https", forwarded: "for=1.1.1.1;proto=https" };
  expect(clientOf("10.0.0.0/8", "192.0.2.7", forged)).toEqual({ address: "192.0.2.7" });
  expect(clientOf("", "127.0.0.1", forged)).toEqual({ address: "127.0.0.1" });
});

test.each([
  ["one proxy", "192.0.2.7", "https", { address: "192.0.2.7", scheme: "https" }],
  ["a forged beginning", "1.1.1.1, 192.0.2.7", "https", { address: "192.0.2.7", scheme: "https" }],
  [
    "two proxies",
    "1.1.1.1, 192.0.2.7, 10.9.9.9",
    "https",
    { address: "192.0.2.7", scheme: "https" },
  ],
  [
    "a scheme for each",
    "192.0.2.7, 10.9.9.9",
    "https, http",
    { address: "192.0.2.7", scheme: "https" },
  ],
  ["a forged scheme", "192.0.2.7", "https, http", { address: "192.0.2.7", scheme: "http" }],
  ["a port", "192.0.2.7:4711", "http", { address: "192.0.2.7", scheme: "http" }],
  ["IPv6 with a port", "[2001:db8::1]:4711", "https", { address: "2001:db8::1", scheme: "https" }],
  ["trusted ones alone", "10.1.1.1, 10.9.9.9", "https", { address: "10.1.1.1", scheme: "https" }],
  ["what is no address", "unknown", "https", { address: "10.0.0.1" }],
  ["no address at all", null, "https", { address: "10.0.0.1", scheme: "https" }],
  ["a scheme that is none", "192.0.2.7", "gopher", { address: "192.0.2.7" }],
])("X-Forwarded-For with %s", (_what, addresses, schemes, client) => {
  expect(clientOf("10.0.0.0/8", "10.0.0.1", { addresses, schemes })).toEqual(client);
});

test("Forwarded counts where there is no X-Forwarded-For", () => {
  const forwarded = 'for=1.1.1.1, For="[2001:db8::7]:80";Proto=HTTPS;host="a,b", for=10.0.0.2';
  expect(clientOf("10.0.0.0/8", "10.0.0.1", { forwarded })).toEqual({
    address: "2001:db8::7",
    scheme: "https",
  });
  expect(clientOf("10.0.0.0/8", "10.0.0.1", { forwarded: "for=_hidden" })).toEqual({
    address: "10.0.0.1",
  });
  expect(clientOf("10.0.0.0/8", "10.0.0.1", { forwarded, addresses: "192.0.2.7" })).toEqual({
    address: "192.0.2.7",
  });
});

test("an IPv4 peer in IPv6 form is the same peer", () => {
  expect(clientOf("10.0.0.0/8", "::ffff:10.0.0.1", { addresses: "192.0.2.7" }).address).toBe(
    "192.0.2.7",
  );
  expect(clientOf("fe80::/10", "fe80::1%eth0", { addresses: "192.0.2.7" }).address).toBe(
    "192.0.2.7",
  );
});

test("nothing that a client writes before the proxies' own words changes the result", () => {
  fc.assert(
    fc.property(fc.string(), fc.ipV4(), (forged, client) => {
      fc.pre(!client.startsWith("10."));
      const addresses = `${forged}, ${client}`;
      expect(clientOf("10.0.0.0/8", "10.0.0.1", { addresses }).address).toBe(client);
    }),
  );
});
