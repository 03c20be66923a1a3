import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

import { content, type DeployBox, Deploying, forgetNames } from "./deploying.ts";

const HASH = "c0de".repeat(16);

let workspaces = 0;
let here: Deploying;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["Date"], now: Date.now() });
  workspaces += 1;
  here = new Deploying(`history-${workspaces}`);
});
afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

describe("history", () => {
  test("is paged, newest first, and says who made what of what", async () => {
    const box = await here.box("gpu-1");
    for (let index = 0; index < 3; index += 1) await here.serve("shop", box, content());
    const first = await here.call("GET", "/apps/shop/versions?environment=main&limit=2");
    expect(first.json.items).toMatchObject([
      { version: 3, status: "serving" },
      { version: 2, status: "replaced" },
    ]);
    const path = `/apps/shop/versions?environment=main&limit=2&cursor=${first.json.next_cursor}`;
    const second = await here.call("GET", path);
    expect(second.json).toMatchObject({ items: [{ version: 1 }], next_cursor: null });
  });

  test("goes back: a new version with the content of the one before, or of a given one", async () => {
    const box = await here.box("gpu-1");
    await here.serve("shop", box, content({ a: {} }));
    await here.serve("shop", box, content({ b: {} }));
    await here.serve("shop", box, content({ c: {} }));
    const { id: app } = await here.app("shop");
    const back = await here.call("POST", "/apps/shop/rollback?environment=main", {});
    expect(back).toMatchObject({
      status: 201,
      json: { version: 4, status: "candidate", rollback_of: 2, endpoints: [{ function: "b" }] },
    });
    await box.report([{ app, version: 4, state: "ready" }]);
    expect((await here.app("shop")).version).toBe(4);
    const further = await here.call("POST", "/apps/shop/rollback?environment=main", { version: 1 });
    expect(further.json).toMatchObject({ version: 5, rollback_of: 1 });
    const missing = await here.call("POST", "/apps/shop/rollback?environment=main", { version: 9 });
    expect(missing).toMatchObject({ status: 404, json: { detail: "app shop has no v9" } });
  });

  test("does not go back to code that no box has", async () => {
    const box = await here.box("gpu-1");
    const code = { hash: HASH, bytes: 10 };
    await here.serve("shop", box, { ...content(), code });
    await here.serve("shop", box, content());
    const refused = await here.call("POST", "/apps/shop/rollback?environment=main", {});
    expect(refused).toMatchObject({ status: 409, json: { code: "conflict" } });
    expect(refused.json.detail).toContain("no box has the code of v1");
    await box.report([], [HASH]);
    const back = await here.call("POST", "/apps/shop/rollback?environment=main", {});
    expect(back.json).toMatchObject({ version: 3, boxes: [{ has_code: true }] });
  });

  describe("says of the version that serves why no box runs it, as the list of apps does:", () => {
    const code = { hash: HASH, bytes: 10 };
    const notes = async (): Promise<unknown> => {
      const { status, detail } = await here.version("shop", 1);
      return { status, detail, list: (await here.app("shop")).last_error };
    };
    const serving = (detail: string) => ({ status: "serving", detail, list: detail });

    /** A version that took over is called a candidate until its boxes have switched, or for half a minute. */
    const tookOver = async (...boxes: DeployBox[]): Promise<void> => {
      for (let count = 0; count < 4; count += 1) {
        // A link that nothing is heard of for 10 s is dead.
        vi.setSystemTime(Date.now() + 9_000);
        for (const box of boxes) await box.connect();
      }
    };

    test("no box has its code any more", async () => {
      const box = await here.box("gpu-1");
      await here.serve("shop", box, { ...content(), code });
      const { id: app } = await here.app("shop");
      await tookOver(box);
      const detail = "no connected box has the code c0dec0dec0de";
      await box.report([{ app, version: 1, state: "failed", detail }]);
      expect(await notes()).toEqual(serving("no box has its code: deploy it again"));
      await box.report([{ app, version: 1, state: "serving" }], [HASH]);
      expect(await notes()).toEqual(serving(""));
      await here.call("DELETE", "/boxes/gpu-1");
      await vi.waitFor(async () =>
        expect(await notes()).toEqual(serving("no box has its code: deploy it again")),
      );
    });

    test("the boxes with its code are away", async () => {
      const one = await here.box("gpu-1");
      const two = await here.box("gpu-2");
      await here.serve("shop", one, { ...content({ f: { boxes: ["gpu-1"] } }), code });
      const { id: app } = await here.app("shop");
      await tookOver(one, two);
      await two.report([], [HASH]);
      two.agent?.close();
      await one.report([{ app, version: 1, state: "failed", detail: "no connected box has it" }]);
      const detail = "no connected box has its code: connect gpu-2, or deploy it again";
      await vi.waitFor(async () => expect(await notes()).toEqual(serving(detail)));
    });

    test("its own boxes are away, or fail", async () => {
      const box = await here.box("gpu-1");
      await here.serve("shop", box, content());
      const { id: app } = await here.app("shop");
      await tookOver(box);
      await box.report([{ app, version: 1, state: "failed", detail: "f: exit code 1" }]);
      expect(await notes()).toEqual(serving("gpu-1: f: exit code 1"));
      box.agent?.close();
      await vi.waitFor(async () =>
        expect(await notes()).toEqual(serving("none of its boxes is connected")),
      );
    });
  });

  test("keeps what the newest 50 versions consist of", async () => {
    const box = await here.box("gpu-1");
    await here.serve("shop", box, content());
    await here.serve("shop", box, content());
    for (let index = 0; index < 49; index += 1) await here.stage("shop", content());
    const refused = await here.call("POST", "/apps/shop/rollback?environment=main", { version: 1 });
    expect(refused).toMatchObject({ status: 409 });
    expect(refused.json.detail).toContain("v1 is too old");
    const { json } = await here.call("GET", "/apps/shop/versions/1?environment=main");
    expect(json).toMatchObject({ version: 1, status: "replaced" });
  });
});

describe("an app that is stopped", () => {
  test("ends on its boxes, answers 410, and leaves its names to others", async () => {
    const box = await here.box("gpu-1");
    await here.serve("shop", box, content());
    await here.stage("shop", content());
    await here.start("shop", 2);
    const { id } = await here.app("shop");
    const stopped = await here.call("POST", "/apps/shop/stop?environment=main");
    expect(stopped).toMatchObject({ status: 200, json: { id, state: "stopped", version: null } });
    expect(stopped.json.stopped_at).toMatch(/^\d{4}-/);
    expect((await box.assignments()).apps).toEqual([]);
    await vi.waitFor(async () => expect(await here.known("shop-f")).toEqual({ stopped: true }));
    expect(await here.get("shop-f")).toEqual({ status: 410, code: "app_stopped" });
    expect((await here.call("POST", "/apps/shop/stop?environment=main")).status).toBe(200);
    expect((await here.start("shop", 2)).status).toBe(409);
    expect((await here.call("POST", "/apps/shop/rollback?environment=main", {})).status).toBe(409);

    await here.serve("other", box, content({ x: { label: "shop-f" } }));
    await vi.waitFor(async () =>
      expect(await here.known("shop-f")).toMatchObject({ app: "other" }),
    );
    forgetNames();
    expect(await here.get("shop-f")).toEqual({ status: 200 });
  });

  test("answers 410 also where the edge remembers it, as soon as its box refuses", async () => {
    const box = await here.box("gpu-1");
    await here.serve("shop", box, content());
    expect(await here.get("shop-f")).toEqual({ status: 200 });
    await here.call("POST", "/apps/shop/stop?environment=main");
    await vi.waitFor(async () => expect(await here.known("shop-f")).toEqual({ stopped: true }));
    expect(await here.get("shop-f")).toEqual({ status: 200 });
    box.refuses = true;
    // Half a second later the isolate may ask again; its memory is good for three.
    vi.setSystemTime(Date.now() + 500);
    expect(await here.get("shop-f")).toEqual({ status: 410, code: "app_stopped" });
  });

  test("comes back as a new app by the next deployment", async () => {
    const box = await here.box("gpu-1");
    await here.serve("shop", box, content());
    const { id } = await here.app("shop");
    await here.call("POST", "/apps/shop/stop?environment=main");
    await here.serve("shop", box, content());
    const again = await here.app("shop");
    expect(again).toMatchObject({ state: "deployed", version: 1 });
    expect(again.id).not.toBe(id);
    expect((await here.call("GET", `/apps/${id}`)).json).toMatchObject({ state: "stopped" });
    const { json } = await here.call("GET", "/apps?environment=main");
    expect(json.items.map((app: { id: string }) => app.id)).toEqual([again.id, id]);
    await here.pass(31 * 86_400_000);
    await here.stage("third", content());
    expect((await here.call("GET", `/apps/${id}`)).status).toBe(404);
  });
});
