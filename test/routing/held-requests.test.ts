import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { HELD_CLIENTS, isHeld } from "../../routing/held-requests.ts";

const MCP = {
  "content-type": "application/json",
  accept: "application/json, text/event-stream",
};

function held(method: string, headers: Readonly<Record<string, string>>): boolean {
  return isHeld(method, (name) => headers[name] ?? null);
}

describe("a client that follows no redirect", () => {
  it.each([
    "Java-http-client/17.0.15",
    "python-httpx/0.28.1",
    "python-httpx2/2.16.2",
    "gradio_client/2.7.2; hf_hub/1.2.3; python/3.11.2",
    "Ruby",
    "Faraday v2.14.0",
    "ReactorNetty/1.2.9",
    "HTTPie/3.2.4",
  ])("is held: %s", (userAgent) => {
    for (const method of ["GET", "POST"]) {
      expect(held(method, { "user-agent": userAgent })).toBe(true);
    }
  });

  it("has one row, and a reason in it", () => {
    const products = HELD_CLIENTS.map(({ product }) => product);
    expect(new Set(products).size).toBe(products.length);
    for (const { product, reason } of HELD_CLIENTS) {
      expect(product).toMatch(/^[^/ ;]+$/);
      expect(reason).toMatch(/\.$/);
    }
  });
});

describe("a client that may follow", () => {
  it.each([
    "",
    "/",
    "curl/7.88.1",
    "node",
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36",
    "OpenAI/Python 3.57.0",
    "python-requests/2.34.2",
    "Python/3.11 aiohttp/3.14.5",
    "Go-http-client/1.1",
    "Java/17.0.15",
    "Apache-HttpClient/4.5 (Java/17.0.15)",
    "app (python-httpx/0.28.1)",
    "python-httpx-oauth/1.0",
    "constructor",
  ])("is not held: %s", (userAgent) => {
    expect(held("POST", { "user-agent": userAgent })).toBe(false);
  });

  it("is not held without a User-Agent", () => {
    expect(held("GET", {})).toBe(false);
  });
});

describe("a message of MCP", () => {
  it.each([
    MCP,
    { ...MCP, "content-type": "Application/JSON; charset=utf-8" },
    { ...MCP, accept: "text/event-stream;q=0.5,APPLICATION/JSON" },
    { ...MCP, "user-agent": "node" },
  ])("is held by its types: %o", (headers) => {
    expect(held("POST", headers)).toBe(true);
  });

  it.each([
    { ...MCP, "content-type": "text/plain" },
    { accept: MCP.accept },
    { ...MCP, accept: "text/event-stream" },
    { ...MCP, accept: "application/json" },
    { ...MCP, accept: "*/*" },
    { ...MCP, accept: "application/json, text/event-stream;q=0" },
    { ...MCP, accept: "application/json, text/event-stream; Q = 0.000" },
    { ...MCP, accept: `${"a/b,".repeat(1_000)}${MCP.accept}` },
  ])("is not taken for one: %o", (headers) => {
    expect(held("POST", headers)).toBe(false);
  });

  it("is a POST, where its types say so alone", () => {
    for (const method of ["GET", "PUT", "DELETE", "post"]) expect(held(method, MCP)).toBe(false);
  });

  it.each(["mcp-protocol-version", "mcp-session-id"])(
    "is held by its %s, whatever the method",
    (name) => {
      for (const method of ["GET", "POST", "DELETE"]) {
        expect(held(method, { [name]: "2025-06-18" })).toBe(true);
      }
    },
  );
});

it("judges every header that a client may send", () => {
  const words = fc.constantFrom(
    "application/json",
    "text/event-stream",
    ",",
    ";",
    "q=0",
    "Ruby",
    "/",
  );
  const texts = fc.oneof(
    fc.string(),
    fc.array(words).map((parts) => parts.join(" ")),
  );
  fc.assert(
    fc.property(texts, texts, texts, (userAgent, accept, type) => {
      const headers = { "user-agent": userAgent, accept, "content-type": type };
      expect(typeof held("POST", headers)).toBe("boolean");
    }),
  );
});
