import { expect, test, vi } from "vitest";

import { secretNames, secretsFrom, withSecrets } from "../../../origin-gpu/apps/secrets.ts";
import { StartFailure } from "../../../origin-gpu/containers/container.ts";
import { GatewayClient } from "../../../origin-gpu/link/gateway-client.ts";
import type { GatewayAddress } from "../../../origin-gpu/link/gateway-address.ts";
import { endpointConfig } from "../containers/endpoint.ts";

const endpoint = (secrets: string[], env: Record<string, string> = {}) =>
  endpointConfig({ kind: { type: "asgi", target: "server:app" }, secrets, env });

test("later secrets win over earlier ones, and env over both", () => {
  const values = { a: { X: "a", Y: "a", Z: "a" }, b: { X: "b", Y: "b" } };
  expect(withSecrets(endpoint(["a", "b"], { X: "env" }), values).env).toEqual({
    X: "env",
    Y: "b",
    Z: "a",
  });
  expect(withSecrets(endpoint(["b", "a"]), values).env).toEqual({ X: "a", Y: "a", Z: "a" });
  expect(withSecrets(endpoint([]), values).env).toEqual({});
});

test.each(["gone", "toString", "__proto__"])("a secret %j that is not there stops it", (name) => {
  expect(() => withSecrets(endpoint([name]), { a: {} })).toThrow(StartFailure);
});

test("an app's secrets are asked for once each", () => {
  expect(secretNames({ endpoints: [endpoint(["a", "b"]), endpoint(["b", "c"])] })).toEqual([
    "a",
    "b",
    "c",
  ]);
});

/** A gateway that answers so. */
function gateway(statusCode: number, text: string) {
  const body = { text: async () => text, json: async (): Promise<unknown> => JSON.parse(text) };
  return {
    request: vi.fn<GatewayAddress["request"]>().mockResolvedValue({
      statusCode,
      body,
    } as Awaited<ReturnType<GatewayAddress["request"]>>),
  };
}

test("the gateway is asked by environment and name", async () => {
  const stub = gateway(200, '{"a":{"X":"1"}}');
  expect(await secretsFrom(new GatewayClient(stub))("main", ["a"])).toEqual({ a: { X: "1" } });
  const [path, { method, body } = {}] = stub.request.mock.calls[0] ?? [];
  expect({ path, method, body }).toEqual({
    path: "/_postern/secrets",
    method: "POST",
    body: { environment: "main", names: ["a"] },
  });
});

test.each([
  [
    404,
    "postern: environment main has no secret a\n",
    "no secrets: environment main has no secret a",
  ],
  [502, "", "no secrets: the gateway answers 502"],
  [200, "not JSON", "no secrets: Unexpected token"],
])("a refusal with %d %j is told in one line", async (status, text, said) => {
  const refused = await secretsFrom(new GatewayClient(gateway(status, text)))("main", ["a"]).catch(
    (error: unknown) => error,
  );
  expect(refused).toBeInstanceOf(StartFailure);
  expect((refused as StartFailure).message).toContain(said);
});

test("a gateway that can't be reached is told too", async () => {
  const stub = { request: vi.fn().mockRejectedValue(new Error("connect ECONNREFUSED")) };
  await expect(secretsFrom(new GatewayClient(stub))("main", ["a"])).rejects.toThrow(
    "no secrets: connect ECONNREFUSED",
  );
});
