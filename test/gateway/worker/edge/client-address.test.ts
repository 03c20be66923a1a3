import { expect, test } from "vitest";
import type { Env } from "../../../../gateway/contracts/env.ts";
import { clientOf } from "../../../../gateway/worker/edge/client-address.ts";

function client(variables: Partial<Env>) {
  const headers = {
    "cf-connecting-ip": "10.0.0.1",
    "x-forwarded-for": "1.1.1.1, 192.0.2.7",
    "x-forwarded-proto": "https",
  };
  const env = { POSTERN_BASE_DOMAIN: "localhost:8787", ...variables } as Env;
  return clientOf(new Request("http://chat.localhost:8787/", { headers }), env);
}

test("no proxy's word counts unless it is trusted", () => {
  expect(client({})).toEqual({
    address: "10.0.0.1",
    scheme: "http",
    isNamedByProxy: false,
  });
  expect(client({ POSTERN_TRUSTED_PROXIES: "10.9.0.0/16" })).toEqual({
    address: "10.0.0.1",
    scheme: "http",
    isNamedByProxy: false,
  });
});

test("a trusted proxy names the client and its scheme", () => {
  expect(client({ POSTERN_TRUSTED_PROXIES: "10.0.0.0/8" })).toEqual({
    address: "192.0.2.7",
    scheme: "https",
    isNamedByProxy: true,
  });
});
