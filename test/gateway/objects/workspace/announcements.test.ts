import { env as bindings, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

import type { Env } from "../../../../gateway/contracts/env.ts";
import { Workspace } from "../../../../gateway/objects/workspace/workspace.ts";
import { workspaceStub } from "../../../../gateway/contracts/stubs.ts";
import type { EndpointAnnouncement } from "../../../../routing/wire/messages.ts";
import { announcement, connectAgent, type FakeAgent } from "../../fake-agent.ts";
import { content, Deploying, forgetNames } from "./deploying.ts";

const env = bindings as unknown as Env;

let workspaces = 0;
let here: Deploying;

/** A box that serves these without a deployment. */
async function serving(
  box: string,
  endpoints: EndpointAnnouncement[],
  incarnation = "a".repeat(32),
): Promise<FakeAgent> {
  const { workspace } = here;
  const announced = endpoints.map((one) => Object.assign(one, { workspace }));
  return await connectAgent(box, {
    workspace,
    incarnation,
    endpoints: announced,
    open: (stream) => {
      stream.sendHead('{"status":200,"headers":[]}', [new TextEncoder().encode(box)], true);
      return {};
    },
  });
}

/** An endpoint of `postern serve`. */
function dev(app: string, functionName: string): EndpointAnnouncement {
  return { ...announcement(app, functionName), devSuffix: "dev" };
}

async function apps(): Promise<{ name: string; state: string; boxes: { name: string }[] }[]> {
  return (await here.call("GET", "/apps?environment=main")).json.items;
}

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["Date"], now: Date.now() });
  workspaces += 1;
  here = new Deploying(`announced-${workspaces}`);
});
afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

describe("an app that a box serves in place", () => {
  test("has its plain name and is among the apps", async () => {
    const { welcome } = await serving("gpu-1", [announcement("shop", "f")]);
    const url = `http://${here.workspace}--shop-f.localhost:8787`;
    expect(welcome.endpoints).toMatchObject([{ url }]);
    expect(await here.get("shop-f")).toEqual({ status: 200 });
    expect(await apps()).toMatchObject([
      {
        name: "shop",
        state: "in_place",
        version: null,
        boxes: [{ name: "gpu-1", connected: true, has_code: true, state: "serving", detail: "" }],
        last_error: "",
        endpoints: [{ function: "f", url, private: false, auth: [] }],
      },
    ]);
  });

  test("keeps its name while its box is away, before deployments too", async () => {
    const agent = await serving("gpu-1", [announcement("shop", "f")]);
    agent.close();
    await here.pass(3_600_000);
    const refused = await here.call("POST", "/apps/other/versions?environment=main", {
      content: content({ x: { label: "shop-f" } }),
    });
    expect(refused).toMatchObject({ status: 409, json: { code: "label_held" } });
    expect(refused.json.detail).toContain("belongs to shop in environment main, which box gpu-1");
    expect(await here.get("shop-f")).toMatchObject({ code: "no_origin" });
  });

  test("does not get the name of a deployed one", async () => {
    const box = await here.box("gpu-1");
    await here.serve("shop", box, content());
    const { welcome } = await serving("gpu-2", [announcement("shop", "f")]);
    expect(welcome.endpoints).toMatchObject([{ refused: "label_held" }]);
    expect(await here.get("shop-f")).toEqual({ status: 200 });
    expect(here.answered).toEqual(["gpu-1"]);
  });

  test("has a name for one of two functions that would be called the same, and says so of the other", async () => {
    const { welcome } = await serving("gpu-1", [
      announcement("shop", "a_b"),
      announcement("shop", "a-b"),
    ]);
    expect(welcome.endpoints).toMatchObject([
      { url: `http://${here.workspace}--shop-a-b.localhost:8787` },
      {
        refused: "conflict",
        detail: `a_b and a-b would both be called ${here.workspace}--shop-a-b; give one a label`,
      },
    ]);
  });

  test("is not deployed to its own box beside itself", async () => {
    await serving("gpu-1", [announcement("shop", "f")]);
    const refused = await here.call("POST", "/apps/shop/versions?environment=main", {
      content: content({ g: {} }),
    });
    expect(refused).toMatchObject({ status: 409, json: { code: "conflict" } });
    expect(refused.json.detail).toContain("box gpu-1 serves an app shop in place (postern up)");
  });

  test("loses what its box does not announce any more", async () => {
    await serving("gpu-1", [
      announcement("shop", "f"),
      announcement("shop", "g"),
      announcement("other", "f"),
    ]);
    await serving("gpu-1", [announcement("shop", "f")]);
    await vi.waitFor(async () => {
      expect(await here.get("shop-f")).toEqual({ status: 200 });
      expect(await here.get("shop-g")).toMatchObject({ code: "no_such_endpoint" });
      expect(await here.get("other-f")).toMatchObject({ code: "no_such_endpoint" });
    });
    expect(await apps()).toMatchObject([{ name: "shop" }]);
  });

  test("ends with its box's enrolment", async () => {
    await serving("gpu-1", [announcement("shop", "f")]);
    expect(await here.get("shop-f")).toEqual({ status: 200 });
    expect((await here.call("DELETE", "/boxes/gpu-1")).status).toBe(204);
    await vi.waitFor(async () => expect(await here.known("shop-f")).toBeUndefined());
    forgetNames();
    expect(await here.get("shop-f")).toMatchObject({ code: "no_such_endpoint" });
    expect(await apps()).toEqual([]);
  });

  test("is not stopped through the API: its box serves it", async () => {
    await serving("gpu-1", [announcement("shop", "f")]);
    const refused = await here.call("POST", "/apps/shop/stop?environment=main");
    expect(refused).toMatchObject({
      status: 409,
      json: { detail: "app shop is not deployed: postern up on box gpu-1 serves it" },
    });
  });
});

describe("an ephemeral app", () => {
  test("has dev names, beside a deployed app of its name", async () => {
    const box = await here.box("gpu-1");
    await here.serve("shop", box, content());
    const { welcome } = await serving("dev-1", [dev("shop", "f")]);
    expect(welcome.endpoints).toMatchObject([
      { url: `http://${here.workspace}--shop-f-dev.localhost:8787` },
    ]);
    expect(await here.get("shop-f-dev")).toEqual({ status: 200 });
    expect((await here.app("shop")).state).toBe("deployed");
    expect(await apps()).toMatchObject([{ state: "ephemeral" }, { state: "deployed" }]);
  });

  test("takes the name of an older one, which does not get it back by connecting again", async () => {
    await serving("dev-1", [dev("shop", "f")]);
    vi.setSystemTime(Date.now() + 1);
    const { welcome } = await serving("dev-2", [dev("shop", "f")]);
    expect(welcome.endpoints).toMatchObject([{ url: expect.any(String) }]);
    const older = await serving("dev-1", [dev("shop", "f")]);
    expect(older.welcome.endpoints).toEqual([
      {
        refused: "label_held",
        detail: `${here.workspace}--shop-f-dev was taken by a newer serve, of shop in environment main on box dev-2`,
      },
    ]);
  });

  test("goes 60 s after its link, and stays when that comes back before", async () => {
    const agent = await serving("dev-1", [dev("shop", "f")]);
    agent.cut();
    await vi.waitFor(async () =>
      expect((await here.call("GET", "/boxes/dev-1")).json.connected).toBe(false),
    );
    await here.pass(59_000);
    expect(await apps()).toHaveLength(1);
    await serving("dev-1", [dev("shop", "f")]);
    await here.pass(2_000);
    expect(await apps()).toHaveLength(1);
    const again = await serving("dev-1", [dev("shop", "f")]);
    again.cut();
    await vi.waitFor(async () =>
      expect((await here.call("GET", "/boxes/dev-1")).json.connected).toBe(false),
    );
    await here.pass(60_001);
    expect(await apps()).toEqual([]);
    await vi.waitFor(async () => expect(await here.known("shop-f-dev")).toBeUndefined());
    forgetNames();
    expect(await here.get("shop-f-dev")).toMatchObject({ code: "no_such_endpoint" });
  });

  test("goes at once when its agent says goodbye", async () => {
    const agent = await serving("dev-1", [dev("shop", "f")]);
    expect(await here.get("shop-f-dev")).toEqual({ status: 200 });
    agent.close();
    await vi.waitFor(async () => expect(await here.known("shop-f-dev")).toBeUndefined());
    forgetNames();
    expect(await here.get("shop-f-dev")).toMatchObject({ code: "no_such_endpoint" });
    expect(await apps()).toEqual([]);
  });

  test("is another one under another agent process", async () => {
    await serving("dev-1", [dev("shop", "f")]);
    const [first] = (await here.call("GET", "/apps?environment=main")).json.items;
    const agent = await serving("dev-1", [dev("shop", "f")]);
    const [same] = (await here.call("GET", "/apps?environment=main")).json.items;
    expect(same.id).toBe(first.id);
    agent.cut();
    await vi.waitFor(async () =>
      expect((await here.call("GET", "/boxes/dev-1")).json.connected).toBe(false),
    );
    vi.setSystemTime(Date.now() + 1);
    await serving("dev-1", [dev("shop", "f")], "b".repeat(32));
    const [other, ...rest] = (await here.call("GET", "/apps?environment=main")).json.items;
    expect(rest).toEqual([]);
    expect(other.id).not.toBe(first.id);
    expect(await here.get("shop-f-dev")).toEqual({ status: 200 });
  });

  test("whose link went while nobody could tell goes all the same", async () => {
    const stub = workspaceStub(env, here.workspace);
    const lost = vi.spyOn(Workspace.prototype, "linkLost").mockImplementation(() => undefined);
    const agent = await serving("dev-1", [dev("shop", "f")]);
    agent.cut();
    await vi.waitFor(() => expect(lost).toHaveBeenCalled());
    await runInDurableObject(stub, async (_instance, state) => {
      const restarted = new Workspace(state, env);
      vi.setSystemTime(Date.now() + 60_001);
      await restarted.alarm();
      vi.setSystemTime(Date.now() + 60_001);
      await restarted.alarm();
    });
    await runDurableObjectAlarm(stub);
    expect(await apps()).toEqual([]);
  });
});

test("an announcement for another workspace, or an environment that is not there, is refused", async () => {
  const { workspace } = here;
  const agent = await connectAgent("gpu-1", {
    workspace,
    endpoints: [
      { ...announcement("shop", "f"), workspace: "other" },
      { ...announcement("shop", "f"), workspace, environment: "nowhere" },
      { ...announcement("shop", "f"), workspace, label: "No_Label" },
      { ...announcement("shop", "f"), workspace },
    ],
  });
  expect(agent.welcome.endpoints).toMatchObject([
    { refused: "forbidden", detail: `this box belongs to workspace ${workspace}, not to other` },
    { refused: "not_found", detail: "there is no environment nowhere" },
    { refused: "bad_request" },
    { url: expect.any(String) },
  ]);
});
