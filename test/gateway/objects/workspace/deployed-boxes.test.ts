import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

import { enrol } from "../../fake-agent.ts";
import { content, type DeployBox, Deploying, forgetNames } from "./deploying.ts";

let workspaces = 0;
let here: Deploying;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["Date"], now: Date.now() });
  workspaces += 1;
  here = new Deploying(`boxes-${workspaces}`);
});
afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

describe("several boxes", () => {
  test("are all waited for while they are connected", async () => {
    const one = await here.box("gpu-1");
    const two = await here.box("gpu-2");
    await here.box("gpu-3", { connected: false });
    await here.box("cpu-1");
    const staged = await here.stage("shop", content({ f: { boxes: ["gpu-*"] } }));
    expect(staged.boxes).toMatchObject([
      { name: "gpu-1", connected: true },
      { name: "gpu-2", connected: true },
      { name: "gpu-3", connected: false },
    ]);
    await here.start("shop", 1);
    const [{ id: app } = { id: "" }] = (await one.assignments()).apps;
    await one.report([{ app, version: 1, state: "ready" }]);
    expect(await here.version("shop", 1)).toMatchObject({ status: "candidate" });
    await two.report([{ app, version: 1, state: "ready" }]);
    expect((await here.app("shop")).version).toBe(1);
    expect((await one.assignments()).apps).toMatchObject([{ serving: { version: 1 } }]);
  });

  test("are what their own agents say, not a second one that is refused", async () => {
    const one = await here.box("gpu-1");
    const code = "a".repeat(64);
    await here.serve("shop", one, content());
    const [{ id: app } = { id: "" }] = (await one.assignments()).apps;
    await one.report([{ app, version: 1, state: "serving" }], [code]);
    const [before] = (await here.version("shop", 1)).boxes;
    const second = { incarnation: "b".repeat(32) };
    expect(await one.report([{ app, version: 1, state: "failed" }], [], second)).toBe(204);
    expect((await here.version("shop", 1)).boxes).toEqual([before]);
    one.agent?.close();
    // Of a box that is away a new agent may speak before it is connected.
    await vi.waitFor(async () => {
      await one.report([{ app, version: 1, state: "failed" }], [], second);
      expect((await here.version("shop", 1)).boxes).toMatchObject([{ state: "failed" }]);
    });
  });

  test("are what their agents said last, also where that comes first", async () => {
    const one = await here.box("gpu-1");
    await here.serve("shop", one, content());
    const [{ id: app } = { id: "" }] = (await one.assignments()).apps;
    const own = { incarnation: "a".repeat(32) };
    const state = async () => (await here.version("shop", 1)).boxes[0].state;
    await one.report([{ app, version: 1, state: "serving" }], [], { ...own, number: 9 });
    // Its agent has given it up meanwhile.
    const late = { ...own, number: 8 };
    expect(await one.report([{ app, version: 1, state: "failed" }], [], late)).toBe(204);
    expect(await state()).toBe("serving");
    await one.report([{ app, version: 1, state: "failed" }], [], { ...own, number: 10 });
    expect(await state()).toBe("failed");
    // The next agent begins to count anew.
    one.agent?.close();
    await vi.waitFor(async () => {
      const next = { incarnation: "b".repeat(32), number: 1 };
      await one.report([{ app, version: 1, state: "serving" }], [], next);
      expect(await state()).toBe("serving");
    });
  });

  test("are not waited for when they have gone, and get what they lack when they are back", async () => {
    const one = await here.box("gpu-1");
    const two = await here.box("gpu-2");
    await here.stage("shop", content({ f: { boxes: ["*"] } }));
    await here.start("shop", 1);
    const [{ id: app } = { id: "" }] = (await one.assignments()).apps;
    await one.report([{ app, version: 1, state: "ready" }]);
    two.agent?.close();
    await two.agent?.closed;
    // A link that is reset is back within seconds, and its box may say that the version fails.
    await here.pass(1_000);
    expect((await here.app("shop")).version).toBeNull();
    vi.setSystemTime(Date.now() + 9_000);
    await one.connect();
    await here.pass(6_001);
    await vi.waitFor(async () => expect((await here.app("shop")).version).toBe(1));
    await one.report([{ app, version: 1, state: "serving" }]);
    await two.connect();
    expect((await two.assignments()).apps).toMatchObject([{ id: app, serving: { version: 1 } }]);
  });

  test("that were away get requests again when they have the version that serves", async () => {
    const one = await here.box("gpu-1");
    const two = await here.box("gpu-2");
    const deploy = async (version: number, ready: readonly DeployBox[]) => {
      await here.stage("shop", content({ f: { boxes: ["*"] } }));
      await here.start("shop", version);
      const [{ id: app } = { id: "" }] = (await one.assignments()).apps;
      for (const state of ["ready", "serving"] as const)
        for (const box of ready) await box.report([{ app, version, state }]);
      return app;
    };
    const served = async () => {
      const known = await here.known("shop-f");
      return known !== undefined && "boxes" in known ? known.boxes.map(({ box }) => box) : [];
    };
    const app = await deploy(1, [one, two]);
    await vi.waitFor(async () => expect(await served()).toEqual(["gpu-1", "gpu-2"]));
    two.agent?.close();
    await vi.waitFor(async () => {
      expect((await here.version("shop", 1)).boxes).toMatchObject([{}, { connected: false }]);
    });
    vi.setSystemTime(Date.now() + 9_000);
    await one.connect();
    vi.setSystemTime(Date.now() + 2_000);
    await deploy(2, [one]);
    await vi.waitFor(async () => expect(await served()).toEqual(["gpu-1"]));

    const before = { app, version: 1, state: "serving" } as const;
    await two.connect();
    await two.report([before, { app, version: 2, state: "failed" }]);
    expect(await served()).toEqual(["gpu-1"]);
    await two.report([before, { app, version: 2, state: "ready" }]);
    await vi.waitFor(async () => expect(await served()).toEqual(["gpu-1", "gpu-2"]));
  });

  test("that an app moves away from go on until no edge sends there", async () => {
    const one = await here.box("gpu-1");
    const two = await here.box("gpu-2");
    await here.serve("shop", one, content({ f: { boxes: ["gpu-1"] } }));
    await here.serve("shop", two, content({ f: { boxes: ["gpu-2"] } }));
    expect((await one.assignments()).apps).toMatchObject([{ serving: { version: 1 } }]);
    // A link that nothing is heard of for 10 s is dead.
    vi.setSystemTime(Date.now() + 9_000);
    await one.connect();
    const notifications = one.notifications;
    await here.pass(1_001);
    await vi.waitFor(() => expect(one.notifications).toBeGreaterThan(notifications));
    expect((await one.assignments()).apps).toEqual([]);
    await two.connect();
    expect(await here.get("shop-f")).toEqual({ status: 200 });
    expect(here.answered).toEqual(["gpu-2"]);
  });

  test("run the endpoints that were placed on them, and no others", async () => {
    const one = await here.box("gpu-1");
    const two = await here.box("cpu-1");
    await here.stage(
      "shop",
      content({ model: { boxes: ["gpu-*"] }, page: { boxes: ["cpu-*"] }, api: { pool: "page" } }),
    );
    await here.start("shop", 1);
    const [onGpu] = (await one.assignments()).apps;
    const [onCpu] = (await two.assignments()).apps;
    expect(onGpu?.candidate?.content.endpoints.map((one) => one.function)).toEqual(["model"]);
    expect(onGpu?.candidate?.content.config).toMatchObject({ endpoint: [{ function: "model" }] });
    expect(onCpu?.candidate?.content.endpoints.map((one) => one.function)).toEqual(["page", "api"]);
    expect(Object.keys(onGpu?.candidate?.urls ?? {})).toEqual(["model", "page", "api"]);
  });

  test("that are revoked are neither sent to nor waited for", async () => {
    const one = await here.box("gpu-1");
    const two = await here.box("gpu-2");
    await here.stage("shop", content({ f: { boxes: ["*"] } }));
    await here.start("shop", 1);
    const [{ id: app } = { id: "" }] = (await one.assignments()).apps;
    await one.report([{ app, version: 1, state: "ready" }]);
    expect((await here.call("DELETE", "/boxes/gpu-2")).status).toBe(204);
    expect((await two.agent?.closed)?.code).toBe(4004);
    expect((await here.app("shop")).version).toBe(1);
    await one.report([{ app, version: 1, state: "serving" }]);
    for (let index = 0; index < 8; index += 1)
      expect(await here.get("shop-f")).toEqual({ status: 200 });
    expect(new Set(here.answered)).toEqual(new Set(["gpu-1"]));
  });

  test("that were revoked are sent to again when they are enrolled anew", async () => {
    const box = await here.box("gpu-1");
    await here.serve("shop", box, content());
    await here.call("DELETE", "/boxes/gpu-1");
    await vi.waitFor(async () => expect(await here.known("shop-f")).toMatchObject({ boxes: [] }));
    expect(await here.get("shop-f")).toMatchObject({ code: "no_origin" });
    await enrol("gpu-1", here.workspace);
    await box.connect();
    const boxes = [{ box: "gpu-1", links: 1 }];
    await vi.waitFor(async () => expect(await here.known("shop-f")).toMatchObject({ boxes }));
    forgetNames();
    expect(await here.get("shop-f")).toEqual({ status: 200 });
  });
});

describe("an agent's report", () => {
  test.each([
    ["that is not JSON", "{", 400],
    ["without its lists", "{}", 400],
    ["of an unknown state", { versions: [{ app: "a", version: 1, state: "odd" }], code: [] }, 400],
  ])("%s is refused", async (_name, body, status) => {
    const box = await here.box("gpu-1");
    if (typeof body === "object") {
      expect(await box.report(body.versions as never)).toBe(status);
      return;
    }
    expect(await box.send("report", body)).toBe(status);
  });

  test("of versions that are not its own changes nothing", async () => {
    const one = await here.box("gpu-1");
    const two = await here.box("gpu-2");
    await here.stage("shop", content(), { deploying_box: "gpu-1" });
    await here.start("shop", 1);
    const [{ id: app } = { id: "" }] = (await one.assignments()).apps;
    expect((await two.assignments()).apps).toEqual([]);
    await two.report([{ app, version: 1, state: "failed" }]);
    await two.report([{ app: "ap-nobody", version: 7, state: "ready" }]);
    expect(await here.version("shop", 1)).toMatchObject({ status: "candidate" });
  });
});
