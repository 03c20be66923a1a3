/** The page at `/` of the base domain: its headers, its methods, and where it is not. */
import { SELF } from "cloudflare:test";
import { expect, test } from "vitest";
import { announcement, ask, connectAgent } from "../../fake-agent.ts";

async function get(path: string, init: RequestInit = {}): Promise<Response> {
  const headers = { host: "localhost:8787", ...(init.headers as Record<string, string>) };
  return await SELF.fetch(`http://localhost:8787${path}`, { ...init, headers });
}

/** The source that a content security policy has for an inline text. */
async function sourceOf(text: string): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  return `'sha256-${btoa(String.fromCharCode(...new Uint8Array(digest)))}'`;
}

test("the page says what the gateway is, and runs its own script and style alone", async () => {
  const response = await get("/");
  const page = await response.text();
  expect(response.status).toBe(200);
  expect(page).toContain("&lt;workspace&gt;--&lt;app&gt;-&lt;function&gt;.localhost:8787");
  const [, script = ""] = /<script>(.*?)<\/script>/s.exec(page) ?? [];
  const [, style = ""] = /<style>(.*?)<\/style>/s.exec(page) ?? [];
  expect(Object.fromEntries(response.headers)).toMatchObject({
    "content-type": "text/html; charset=utf-8",
    "content-security-policy": [
      "default-src 'none'",
      `script-src ${await sourceOf(script)}`,
      `style-src ${await sourceOf(style)}`,
      "connect-src 'self'",
      "img-src data:",
      "base-uri 'none'",
      "form-action 'none'",
      "frame-ancestors 'none'",
      "require-trusted-types-for 'script'",
      "trusted-types 'none'",
    ].join("; "),
    "cache-control": "no-store",
    "cross-origin-opener-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
  });
  expect(response.headers.has("set-cookie")).toBe(false);
  expect(page.match(/<script/g)).toHaveLength(1);
  expect(page).not.toMatch(/ (?:src|on\w+|style)=/);
});

test.each(["*/*", "text/html", "application/json", "image/png"])(
  "who accepts %s gets the page",
  async (accept) => {
    const response = await get("/?any=query", { headers: { accept } });
    expect(response.status).toBe(200);
    expect(await response.text()).toContain("<h1>Postern</h1>");
  },
);

test("HEAD has the headers alone", async () => {
  const response = await get("/", { method: "HEAD" });
  expect(response.status).toBe(200);
  expect(response.headers.get("content-security-policy")).toContain("default-src 'none'");
  expect(await response.text()).toBe("");
});

test.each(["POST", "PUT", "DELETE", "OPTIONS"])(
  "%s is refused, with the methods that it takes",
  async (method) => {
    const response = await get("/", { method, headers: { accept: "application/json" } });
    expect(response.status).toBe(405);
    expect(response.headers.get("allow")).toBe("GET, HEAD");
    expect(await response.json()).toMatchObject({ code: "method_not_allowed" });
  },
);

test("it is at no other path and at no other host, whether an endpoint is there or not", async () => {
  await connectAgent("dashboard", { endpoints: [announcement("dashboard", "private")] });
  const elsewhere = [
    await get("/index.html"),
    await get("/dashboard"),
    await get("//"),
    await ask("local--nothing-here", "/", { headers: { accept: "text/html" } }),
  ];
  for (const response of elsewhere) {
    expect(response.status).toBe(404);
    expect(await response.text()).not.toContain("sign-in");
  }
});
