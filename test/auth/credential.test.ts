import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { apiCredential, appToken, proxyCredential } from "../../auth/credential.ts";

const bearer = (value: string) => new Headers({ authorization: value });

describe("the credential of a request", () => {
  test.each(["Modal", "Postern"])("is read from %s-Key and its secret", (name) => {
    const headers = new Headers({ [`${name}-Key`]: "wk-a", [`${name}-Secret`]: "ws-b" });
    expect(proxyCredential(headers)).toEqual({ id: "wk-a", secret: "ws-b" });
  });

  test.each(["Bearer wk-a.ws-b", "bearer wk-a.ws-b", "Bearer   wk-a.ws-b"])(
    "is read from Authorization: %s",
    (value) => {
      expect(proxyCredential(bearer(value))).toEqual({ id: "wk-a", secret: "ws-b" });
    },
  );

  test.each([
    "Basic d2stYTp3cy1i",
    "Bearer sk-live-1234.ws-b",
    "Bearer eyJhbGciOiJub25lIn0.e30.",
    "Bearer",
    "Bearer ",
    "wk-a.ws-b",
    "Basic x, Bearer wk-a.ws-b",
    "Bearer wk-a.ws-b, Basic x",
    "Bearer wk-a .ws-b",
  ])("is nothing in an app's own Authorization: %s", (value) => {
    expect(proxyCredential(bearer(value))).toBeUndefined();
  });

  test.each([
    ["Bearer wk-a", { id: "wk-a", secret: "" }],
    ["Bearer WK-A.WS-B", { id: "WK-A", secret: "WS-B" }],
    ["Bearer wk-a.ws-b=", { id: "wk-a", secret: "ws-b=" }],
    ["Bearer wk-a.b.ws-c", { id: "wk-a.b", secret: "ws-c" }],
  ])("is a wrong one, not none, when it is misspelt: %s", (value, credential) => {
    expect(proxyCredential(bearer(value))).toEqual(credential);
  });

  test("is not there when half a pair is, and then another whole one counts", () => {
    const half = new Headers({ "modal-key": "wk-a" });
    expect(proxyCredential(half)).toBeUndefined();
    half.set("authorization", "Bearer wk-c.ws-d");
    expect(proxyCredential(half)).toEqual({ id: "wk-c", secret: "ws-d" });
  });

  test.each([
    ["x-api-key", "wk-a.ws-b"],
    ["api-key", "wk-a.ws-b"],
    ["sec-websocket-protocol", "realtime, openai-insecure-api-key.wk-a.ws-b, v1"],
  ])("is read from %s: %s", (name, value) => {
    const headers = new Headers({ [name]: value, authorization: "Bearer sk-of-the-app" });
    expect(proxyCredential(headers)).toEqual({ id: "wk-a", secret: "ws-b" });
    expect(appToken(headers)).toBeUndefined();
  });

  test.each([
    ["x-api-key", "sk-of-the-app"],
    ["api-key", "wk-a"],
    ["x-api-key", "sk-of-the-app, wk-a.ws-b"],
    ["x-api-key", "Bearer wk-a.ws-b"],
    ["sec-websocket-protocol", "wk-a.ws-b"],
    ["sec-websocket-protocol", "openai-insecure-api-key.sk-of-the-app"],
  ])("is nothing in %s: %s", (name, value) => {
    expect(proxyCredential(new Headers({ [name]: value }))).toBeUndefined();
  });

  test("is the first of several that are whole", () => {
    const headers = new Headers({ "api-key": "wk-e.ws-f", "x-api-key": "wk-c.ws-d" });
    expect(proxyCredential(headers)?.id).toBe("wk-c");
    headers.set("authorization", "Bearer wk-a.ws-b");
    expect(proxyCredential(headers)?.id).toBe("wk-a");
  });

  test("may be an app token, wherever a key may stand", () => {
    const token = `pat-${"0".repeat(26)}-${"a".repeat(32)}`;
    for (const headers of [
      { authorization: `Bearer ${token}` },
      { "x-api-key": token },
      { "api-key": token },
      { "sec-websocket-protocol": `openai-insecure-api-key.${token}` },
    ]) {
      expect(appToken(new Headers(headers))).toBe(token);
    }
  });

  test("is one value that no token has when a header came twice", () => {
    const headers = new Headers([
      ["modal-key", "wk-a"],
      ["modal-key", "wk-b"],
      ["modal-secret", "ws-c"],
    ]);
    expect(proxyCredential(headers)?.id).toBe("wk-a, wk-b");
  });

  test("never throws, whatever stands in the headers", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => {
        const headers = { get: () => text };
        proxyCredential(headers);
        apiCredential(headers);
      }),
    );
  });
});

test("an API credential is split at its last dot, since a workspace's name may have some", () => {
  expect(apiCredential(bearer("Bearer ak-a.b-c.as-d"))).toEqual({ id: "ak-a.b-c", secret: "as-d" });
  expect(apiCredential(bearer("Basic x"))).toBeUndefined();
  expect(apiCredential(new Headers())).toBeUndefined();
});
