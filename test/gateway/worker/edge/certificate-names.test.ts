/** Which names a certificate may be made for, as the runner hears it. */
import { createExecutionContext, env as bindings, waitOnExecutionContext } from "cloudflare:test";
import { beforeAll, expect, test, vi } from "vitest";
import type { Env } from "../../../../gateway/contracts/env.ts";
import type { Snapshot } from "../../../../gateway/contracts/names.ts";
import { namesShard } from "../../../../gateway/contracts/stubs.ts";
import { Names } from "../../../../gateway/objects/names/names.ts";
import { answerCertificateName } from "../../../../gateway/worker/edge/certificate-names.ts";
import { domainRoute } from "../../../../routing/domains.ts";

const SECRET = "between-runner-and-worker";
const env = {
  ...(bindings as unknown as Env),
  POSTERN_BASE_DOMAIN: "gw.test",
  POSTERN_TLS_SECRET: SECRET,
};

async function answer(name: string, secret = SECRET, told = env): Promise<Response> {
  const execution = createExecutionContext();
  const request = new Request("http://gw.test/_postern/certificate-names", {
    method: "POST",
    headers: { "postern-tls-secret": secret },
    body: JSON.stringify({ name }),
  });
  const response = await answerCertificateName(request, told, execution);
  await waitOnExecutionContext(execution);
  return response;
}

/** An app that serves at a name, or at a custom domain of the workspace's. */
async function serve(name: string, customDomains: string[] = []): Promise<void> {
  const app = { owner: `ap-${name}`, workspace: "ecorp", kind: "deployed", startedAt: 1 } as const;
  const snapshot: Snapshot = {
    workspace: "ecorp",
    environment: "main",
    app: "shop",
    appId: app.owner,
    boxes: [],
    endpoint: "main/shop/web",
    settings: { timeout: 300, resultTtl: 3600, customDomains },
  };
  await (await namesShard(env, name)).commit(name, app, snapshot);
}

async function prove(domain: string): Promise<void> {
  await (await namesShard(env, domain)).claimDomain(domain, "ecorp", "take");
}

beforeAll(async () => {
  await serve("ecorp--shop-web");
  await serve("ecorp--old-web");
  await (await namesShard(env, "ecorp--old-web")).stop("ecorp--old-web", "ap-ecorp--old-web");
  const domains = ["*.shop.test", "api.shop.test", "apex.test", "unproved.test"];
  for (const domain of domains) await serve(domainRoute("ecorp", domain), domains);
  for (const domain of ["*.shop.test", "apex.test", "idle.test"]) await prove(domain);
});

test.each([
  ["gw.test", "chosen"],
  ["ecorp--shop-web.gw.test", "chosen"],
  ["apex.test", "chosen"],
  ["api.shop.test", "chosen"],
  ["any.shop.test", "below_wildcard"],
  ["ecorp--other-web.gw.test", "unserved"],
  ["ecorp--old-web.gw.test", "unserved"],
  ["www.gw.test", "unserved"],
  ["unproved.test", "unserved"],
  ["idle.test", "unserved"],
  ["shop.test", "unserved"],
  ["a.b.shop.test", "unserved"],
  ["apex.test:443", "unserved"],
  ["APEX.test", "unserved"],
  ["", "unserved"],
])("%j is %s", async (name, kind) => {
  expect(await (await answer(name)).json()).toEqual({ name: kind });
});

test("a domain that lapses gets none within 5 s", async () => {
  await serve(domainRoute("ecorp", "lapsing.test"), ["lapsing.test"]);
  await prove("lapsing.test");
  expect(await (await answer("lapsing.test")).json()).toEqual({ name: "chosen" });
  await (await namesShard(env, "lapsing.test")).releaseDomain("lapsing.test", "ecorp");
  await vi.waitFor(
    async () => expect(await (await answer("lapsing.test")).json()).toEqual({ name: "unserved" }),
    { timeout: 15_000, interval: 250 },
  );
});

test("a registry that does not answer is told from a name that nobody has", async () => {
  const lookups = vi.spyOn(Names.prototype, "lookup").mockImplementation(() => {
    throw new Error("full");
  });
  expect(await (await answer("ecorp--unasked-web.gw.test")).json()).toEqual({ name: "unknown" });
  lookups.mockRestore();
});

test("strangers learn nothing: a wrong secret, or a gateway without TLS, gets 404", async () => {
  const { POSTERN_TLS_SECRET: _, ...without } = env;
  for (const response of [
    await answer("apex.test", "guessed"),
    await answer("apex.test", "", { ...env, POSTERN_TLS_SECRET: "" }),
    await answer("apex.test", "undefined", without as typeof env),
  ]) {
    expect([response.status, await response.text()]).toEqual([404, ""]);
  }
});
