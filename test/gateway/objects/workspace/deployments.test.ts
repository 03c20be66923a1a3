import { env as bindings, runInDurableObject } from "cloudflare:test";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

import type { Env } from "../../../../gateway/contracts/env.ts";
import { Names } from "../../../../gateway/objects/names/names.ts";
import { Workspace } from "../../../../gateway/objects/workspace/workspace.ts";
import { workspaceStub } from "../../../../gateway/contracts/stubs.ts";
import { content, Deploying, forgetNames } from "./deploying.ts";

const env = bindings as unknown as Env;

let workspaces = 0;
let here: Deploying;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["Date"], now: Date.now() });
  workspaces += 1;
  here = new Deploying(`deploy-${workspaces}`);
});
afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

describe("a deployment", () => {
  test("is staged, started, made ready, and serves", async () => {
    const box = await here.box("gpu-1");
    const staged = await here.stage("shop", content(), { tag: "v1.0", commit: "abc1234*" });
    expect(staged).toMatchObject({
      version: 1,
      tag: "v1.0",
      commit: "abc1234*",
      created_by_name: "first token",
      rollback_of: null,
      endpoints: [
        {
          function: "f",
          url: `http://${here.workspace}--shop-f.localhost:8787`,
          private: false,
          auth: [],
        },
      ],
      boxes: [{ name: "gpu-1", connected: true, has_code: true, state: null }],
    });
    expect((await box.assignments()).apps).toEqual([]);
    expect(await here.get("shop-f")).toMatchObject({ code: "no_such_endpoint" });
    forgetNames();

    expect(await here.start("shop", 1)).toMatchObject({
      status: 200,
      json: { status: "candidate" },
    });
    await vi.waitFor(() => expect(box.notifications).toBeGreaterThan(0));
    const { apps } = await box.assignments();
    expect(apps).toMatchObject([
      {
        environment: "main",
        app: "shop",
        candidate: {
          version: 1,
          content: content(),
          urls: { f: `http://${here.workspace}--shop-f.localhost:8787` },
        },
      },
    ]);
    const [{ id: app } = { id: "" }] = apps;
    expect(app).toMatch(/^ap-[0-9a-f]{26}$/);
    await box.report([{ app, version: 1, state: "starting", detail: "loading" }]);
    expect(await here.version("shop", 1)).toMatchObject({
      status: "candidate",
      boxes: [{ state: "starting", detail: "loading" }],
    });
    expect(await here.get("shop-f")).toMatchObject({ code: "no_such_endpoint" });
    forgetNames();

    const notifications = box.notifications;
    await box.report([{ app, version: 1, state: "ready" }]);
    await vi.waitFor(() => expect(box.notifications).toBeGreaterThan(notifications));
    const switched = (await box.assignments()).apps[0];
    expect(switched).toMatchObject({ id: app, serving: { version: 1 } });
    expect(switched).not.toHaveProperty("candidate");
    // Until the box has switched the version is not called serving.
    expect(await here.version("shop", 1)).toMatchObject({ status: "candidate" });
    await box.report([{ app, version: 1, state: "serving" }]);
    await vi.waitFor(async () =>
      expect(await here.version("shop", 1)).toMatchObject({ status: "serving" }),
    );
    expect(await here.get("shop-f")).toEqual({ status: 200 });
    expect(await here.app("shop")).toMatchObject({
      id: app,
      name: "shop",
      environment: "main",
      state: "deployed",
      version: 1,
      candidate: null,
      boxes: [{ name: "gpu-1", connected: true, has_code: true, state: "serving", detail: "" }],
      last_error: "",
      stopped_at: null,
    });
    expect((await here.call("GET", `/apps/${app}`)).json).toMatchObject({ name: "shop" });
  });

  test("says of its endpoints who may call them", async () => {
    const box = await here.box("gpu-1");
    const issuer = "https://id.example";
    const jwt = { issuer, audience: "a", jwksUrl: `${issuer}/keys` };
    const oidc = { issuer, clientId: "c", emails: ["*@example.com"] };
    const locked = { timeout: 300, resultTtl: 3600, requiresProxyAuth: true };
    const functions = {
      open: {},
      locked: { settings: locked },
      trusting: { settings: { ...locked, auth: { jwt } } },
      people: { settings: { ...locked, auth: { jwt, oidc } } },
    };
    await here.serve("shop", box, content(functions));
    const endpoints = [
      { function: "open", private: false, auth: [] },
      { function: "locked", private: true, auth: [] },
      { function: "trusting", private: true, auth: ["jwt"] },
      { function: "people", private: true, auth: ["jwt", "oidc"] },
    ];
    expect(await here.version("shop", 1)).toMatchObject({ endpoints });
    expect(await here.app("shop")).toMatchObject({ endpoints });
  });

  test("leaves the version before as it is until it is ready itself", async () => {
    const box = await here.box("gpu-1");
    await here.serve("shop", box, content());
    const id = (await here.app("shop")).id;
    await here.stage("shop", content({ f: {}, g: {} }));
    await here.start("shop", 2);
    expect((await box.assignments()).apps).toMatchObject([
      { id, serving: { version: 1 }, candidate: { version: 2 } },
    ]);
    expect(await here.get("shop-f")).toEqual({ status: 200 });
    await box.report([
      { app: id, version: 1, state: "serving" },
      { app: id, version: 2, state: "ready" },
    ]);
    expect((await box.assignments()).apps).toMatchObject([{ serving: { version: 2 } }]);
    expect(await here.version("shop", 1)).toMatchObject({ status: "replaced" });
    await box.report([{ app: id, version: 2, state: "serving" }]);
    await vi.waitFor(async () => expect(await here.known("shop-g")).toBeDefined());
    forgetNames();
    expect(await here.get("shop-g")).toEqual({ status: 200 });
  });

  test("gives up names that its next version does not have", async () => {
    const box = await here.box("gpu-1");
    await here.serve("shop", box, content({ f: {}, old: {} }));
    expect(await here.get("shop-old")).toEqual({ status: 200 });
    await here.serve("shop", box, content());
    await vi.waitFor(async () => expect(await here.known("shop-old")).toBeUndefined());
    forgetNames();
    expect(await here.get("shop-old")).toMatchObject({ code: "no_such_endpoint" });
    expect(await here.get("shop-f")).toEqual({ status: 200 });
  });

  test("that fails says why, and the version before goes on", async () => {
    const box = await here.box("gpu-1");
    await here.serve("shop", box, content());
    const { id } = await here.app("shop");
    await here.stage("shop", content({ f: {}, g: {} }));
    await here.start("shop", 2);
    await box.report([
      { app: id, version: 1, state: "serving" },
      {
        app: id,
        version: 2,
        state: "failed",
        detail: "f: exit code 1",
        lines: ["Traceback", "boom"],
      },
    ]);
    expect(await here.version("shop", 2)).toMatchObject({
      status: "failed",
      detail: "box gpu-1: f: exit code 1",
      lines: ["Traceback", "boom"],
    });
    expect((await box.assignments()).apps).toMatchObject([{ serving: { version: 1 } }]);
    expect((await box.assignments()).apps[0]).not.toHaveProperty("candidate");
    expect(await here.app("shop")).toMatchObject({
      version: 1,
      candidate: null,
      last_error: "v2: box gpu-1: f: exit code 1",
    });
    expect(await here.get("shop-f")).toEqual({ status: 200 });
    // What it reserved is free again.
    const other = await here.call("POST", "/apps/other/versions?environment=main", {
      content: content({ x: { label: "shop-g" } }),
    });
    expect(other.status).toBe(201);
  });

  test("that serves, but whose box does not run it any more, says so at its app", async () => {
    const box = await here.box("gpu-1");
    await here.serve("shop", box, content());
    const { id } = await here.app("shop");
    const detail = "no connected box has the code of v1; deploy again";
    await box.report([{ app: id, version: 1, state: "failed", detail }]);
    expect(await here.app("shop")).toMatchObject({
      state: "deployed",
      boxes: [{ name: "gpu-1", state: "failed", detail }],
      last_error: `gpu-1: ${detail}`,
    });
  });

  test("that serves on a box that is away says so at its app", async () => {
    const box = await here.box("gpu-1");
    await here.serve("shop", box, content());
    box.agent?.close();
    await vi.waitFor(async () =>
      expect(await here.app("shop")).toMatchObject({
        boxes: [{ name: "gpu-1", connected: false }],
        last_error: "none of its boxes is connected",
      }),
    );
  });

  test("that is not ready in time fails", async () => {
    const box = await here.box("gpu-1");
    await here.stage("shop", content({ f: { startupTimeout: 60 } }));
    await here.start("shop", 1);
    const [{ id: app } = { id: "" }] = (await box.assignments()).apps;
    await box.report([{ app, version: 1, state: "starting" }]);
    await here.pass(659_000);
    expect(await here.version("shop", 1)).toMatchObject({ status: "candidate" });
    await here.pass(1_001);
    expect(await here.version("shop", 1)).toMatchObject({
      status: "failed",
      detail: expect.stringMatching(/^it was not ready in time: box gpu-1 is /),
    });
    expect(await here.app("shop")).toMatchObject({ state: "failed", version: null });
  });

  test("is superseded by a newer one, and an older one cannot be started any more", async () => {
    const box = await here.box("gpu-1");
    await here.stage("shop", content());
    await here.stage("shop", content());
    await here.stage("shop", content());
    await here.start("shop", 1);
    await here.start("shop", 2);
    expect(await here.version("shop", 1)).toMatchObject({
      status: "superseded",
      detail: "v2 was started",
    });
    expect((await box.assignments()).apps).toMatchObject([{ candidate: { version: 2 } }]);
    expect((await here.start("shop", 3)).status).toBe(200);
    expect(await here.start("shop", 2)).toMatchObject({
      status: 409,
      json: { code: "conflict", detail: "v2 of shop is older than v3: deploy it again" },
    });
    expect(await here.start("shop", 3)).toMatchObject({
      status: 200,
      json: { status: "candidate" },
    });
  });

  test("may be started twice at once", async () => {
    await here.box("gpu-1");
    await here.stage("shop", content());
    const answers = await Promise.all([here.start("shop", 1), here.start("shop", 1)]);
    expect(answers).toMatchObject([
      { status: 200, json: { status: "candidate" } },
      { status: 200, json: { status: "candidate" } },
    ]);
  });

  test("has an hour more where it has a Python environment to make", async () => {
    await here.box("gpu-1");
    const endpoint = [{ function: "f", requirements: ["fastapi"] }];
    await here.stage("shop", { ...content(), config: { app: "demo", endpoint } });
    await here.start("shop", 1);
    await here.pass(3_600_000 + 899_000);
    expect(await here.version("shop", 1)).toMatchObject({ status: "candidate" });
    await here.pass(1_001);
    expect(await here.version("shop", 1)).toMatchObject({ status: "failed" });
  });

  test("that its maker takes back was never there", async () => {
    await here.box("gpu-1");
    await here.stage("shop", content());
    const path = "/apps/shop/versions/1?environment=main";
    expect((await here.call("DELETE", path)).status).toBe(204);
    expect((await here.call("DELETE", path)).status).toBe(204);
    expect((await here.call("GET", path)).status).toBe(404);
    expect((await here.call("GET", "/apps?environment=main")).json.items).toEqual([]);
    await here.stage("other", content({ x: { label: "shop-f" } }));
    await here.start("other", 1);
    const refused = await here.call("DELETE", "/apps/other/versions/1?environment=main");
    expect(refused).toMatchObject({ status: 409, json: { code: "conflict" } });
  });

  test("whose maker died halfway is forgotten, and its names are free", async () => {
    const box = await here.box("gpu-1");
    await here.serve("shop", box, content());
    await here.stage("shop", content({ f: {}, g: {} }));
    const wanting = { content: content({ x: { label: "shop-g" } }) };
    const held = await here.call("POST", "/apps/other/versions?environment=main", wanting);
    expect(held).toMatchObject({ status: 409, json: { code: "label_held" } });
    await here.pass(600_001);
    expect((await here.start("shop", 2)).json.detail).toContain("10 minutes");
    await box.connect();
    expect(await here.get("shop-f")).toEqual({ status: 200 });
    expect((await here.call("POST", "/apps/other/versions?environment=main", wanting)).status).toBe(
      201,
    );
  });

  test("is told to Names again when they did not answer", async () => {
    const box = await here.box("gpu-1");
    const commit = vi.spyOn(Names.prototype, "commit").mockImplementation(() => {
      throw new Error("away");
    });
    vi.spyOn(console, "error").mockImplementation(() => undefined);
    await here.serve("shop", box, content());
    await vi.waitFor(() => expect(commit).toHaveBeenCalled());
    expect(await here.version("shop", 1)).toMatchObject({ status: "candidate" });
    expect(await here.get("shop-f")).toMatchObject({ code: "no_such_endpoint" });
    commit.mockRestore();
    await here.pass(5_001);
    await vi.waitFor(async () => expect((await here.version("shop", 1)).status).toBe("serving"));
    expect(await here.get("shop-f")).toEqual({ status: 200 });
  });

  test("that was told to nobody when its object ended is told by the next one", async () => {
    const box = await here.box("gpu-1");
    const commit = vi.spyOn(Names.prototype, "commit").mockImplementation(() => {
      throw new Error("away");
    });
    vi.spyOn(console, "error").mockImplementation(() => undefined);
    await here.serve("shop", box, content());
    await vi.waitFor(() => expect(commit).toHaveBeenCalled());
    commit.mockRestore();
    await runInDurableObject(workspaceStub(env, here.workspace), async (_instance, state) => {
      const restarted = new Workspace(state, env);
      await vi.waitFor(
        () =>
          expect(
            restarted.version({ app: { app: "shop", environment: "main" }, version: 1 }),
          ).toMatchObject({ value: { status: "serving" } }),
        15_000,
      );
    });
    expect(await here.get("shop-f")).toEqual({ status: 200 });
  });
});
