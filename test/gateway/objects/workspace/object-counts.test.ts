/** How many tokens, secrets and apps there may be: the last one that fits, one more, and room again. */
import { env as bindings, runInDurableObject } from "cloudflare:test";
import { afterEach, beforeEach, expect, test, vi } from "vitest";

import type { Env } from "../../../../gateway/contracts/env.ts";
import { workspaceStub } from "../../../../gateway/contracts/stubs.ts";
import { announcement, connectAgent } from "../../fake-agent.ts";
import { content, Deploying } from "./deploying.ts";

const env = bindings as unknown as Env;

const MOST = 1_000;
const SLOW_MS = 60_000;

let workspaces = 0;
let here: Deploying;
beforeEach(() => {
  vi.useFakeTimers({ toFake: ["Date"], now: Date.now() });
  workspaces += 1;
  here = new Deploying(`counts-${workspaces}`);
});
afterEach(() => {
  vi.useRealTimers();
});

const workspace = () => workspaceStub(env, here.workspace);

type Made = { readonly ok: boolean; readonly error?: unknown };

/** Makes things until one is refused. @returns how many were made, and why no more */
async function fill(
  make: (index: number) => Promise<Made>,
): Promise<{ made: number; error: unknown }> {
  for (let made = 0; ; made += 1) {
    const result = await make(made);
    if (!result.ok) return { made, error: result.error };
  }
}

test(
  "a workspace has 1,000 proxy tokens",
  async () => {
    const chosen = { name: "", environments: [], apps: [], paths: [], limits: {}, expiresAt: null };
    const make = async () => await workspace().createProxyToken(chosen, "test");
    const detail = "the workspace has its 1000 proxy tokens; revoke one first";
    expect(await fill(make)).toEqual({ made: MOST, error: { code: "conflict", detail } });
    const { items } = await workspace().listProxyTokens({ limit: 1 });
    await workspace().revokeProxyToken(items[0]?.id ?? "");
    expect((await fill(make)).made).toBe(1);
  },
  SLOW_MS,
);

test(
  "a workspace has 1,000 API tokens, the first one included",
  async () => {
    const chosen = { name: "", scope: "read", expiresAt: null } as const;
    const make = async () => await workspace().createApiToken(chosen, "test");
    const detail = "the workspace has its 1000 API tokens; revoke one first";
    expect(await fill(make)).toEqual({ made: MOST - 1, error: { code: "conflict", detail } });
    const { items } = await workspace().listApiTokens({ limit: 1 });
    await workspace().revokeApiToken(items[0]?.id ?? "");
    expect((await fill(make)).made).toBe(1);
  },
  SLOW_MS,
);

test(
  "an environment has 1,000 secrets",
  async () => {
    const rest = { environment: "main", variables: { A: "1" } };
    const put = async (name: string, replace = false) =>
      await workspace().putSecret({ ...rest, name, replace }, "test");
    const detail = "environment main has its 1000 secrets; delete one first";
    const filled = await fill(async (index) => await put(`s${index}`));
    expect(filled).toEqual({ made: MOST, error: { code: "conflict", detail } });
    // One that is there may get other variables.
    expect((await put("s7", true)).ok).toBe(true);
    await workspace().deleteSecret("main", "s7");
    expect((await put("more")).ok).toBe(true);
  },
  SLOW_MS,
);

test("an environment has 1,000 apps, deployed and served in place", async () => {
  const fillApps = async (count: number) => {
    await runInDurableObject(workspace(), (_object, { storage }) => {
      for (let index = 0; index < count; index += 1) {
        storage.sql.exec(
          `INSERT INTO apps
             (id, environment, name, kind, box, incarnation, dev_suffix, last_version, created_at)
           VALUES (?, 'main', ?, 'deployed', '', '', '', 0, 1)`,
          `ap-${index}`,
          `app-${index}`,
        );
      }
    });
  };
  const detail = "environment main has its 1000 apps; stop one first";
  // Without a box no version is staged.
  await here.box("gpu-0");
  await fillApps(MOST - 3);
  await here.stage("last-but-two", content());
  const endpoints = ["last-but-one", "last", "more"].map((app) =>
    Object.assign(announcement(app, "f"), { workspace: here.workspace }),
  );
  const { welcome } = await connectAgent("gpu-1", { workspace: here.workspace, endpoints });
  expect(welcome.endpoints).toMatchObject([
    { url: expect.any(String) },
    { url: expect.any(String) },
    { refused: "conflict", detail },
  ]);
  const staged = await here.call("POST", "/apps/more/versions?environment=main", {
    content: content(),
  });
  expect(staged).toMatchObject({ status: 409, json: { code: "conflict", detail } });
  // A further version of an app that is there.
  await here.stage("last-but-two", content());
});
