/** The Worker's entry: what becomes of an error that nobody expected, and of a registry that does not answer. */
import { env } from "cloudflare:test";
import { afterEach, expect, test, vi } from "vitest";
import { Names } from "../../gateway/objects/names/names.ts";
import { announcement, ask, connectAgent } from "./fake-agent.ts";

const key = Reflect.get(env, "POSTERN_KEY") as string;
afterEach(() => {
  Object.assign(env, { POSTERN_KEY: key });
  vi.restoreAllMocks();
});

test("an error that nobody expected is a code for the client and a line for the operator", async () => {
  await connectAgent("unexpected", { endpoints: [announcement("unexpected", "web")] });
  const reported = vi.spyOn(console, "log").mockReturnValue();
  // No key can be derived from this secret, so no result token can be checked.
  Object.assign(env, { POSTERN_KEY: "too short" });
  const response = await ask("local--unexpected-web", "/?__postern_call=a", {
    headers: { "x-request-id": "mine" },
  });
  expect(response.status).toBe(500);
  expect(await response.json()).toMatchObject({ code: "internal_error" });
  expect(response.headers.get("x-should-retry")).toBe("false");
  expect(reported.mock.calls[0]?.[0]).toContain("mine");
});

test.each([
  ["breaks", async () => await Promise.reject(new Error("lost"))],
  ["is silent", async () => await new Promise<never>(() => undefined)],
])(
  "a request for a name is 503 unavailable while the registry %s, and not after",
  async (how, lookup) => {
    const app = `registry-${how.replace(" ", "-")}`;
    await connectAgent(app, { endpoints: [announcement(app, "web")] });
    vi.spyOn(Names.prototype, "lookup").mockImplementation(lookup as () => never);
    const refused = await ask(`local--${app}-web`, "/");
    expect(refused.status).toBe(503);
    expect(await refused.json()).toMatchObject({ code: "unavailable" });
    vi.restoreAllMocks();
    expect((await ask(`local--${app}-nowhere`, "/")).status).toBe(404);
  },
);
