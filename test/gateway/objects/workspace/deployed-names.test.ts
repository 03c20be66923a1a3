import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

import { content, Deploying } from "./deploying.ts";

let workspaces = 0;
let here: Deploying;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["Date"], now: Date.now() });
  workspaces += 1;
  here = new Deploying(`names-${workspaces}`);
});
afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

describe("names", () => {
  test("that 100 deployments want at once go to one of them, and the others are refused", async () => {
    await here.box("gpu-1");
    const answers = await Promise.all(
      Array.from({ length: 100 }, (_, index) =>
        here.call("POST", `/apps/app-${index}/versions?environment=main`, {
          content: content({ f: { label: "wanted" }, g: {} }),
        }),
      ),
    );
    const made = answers.filter(({ status }) => status === 201);
    const refused = answers.filter(({ json }) => json.code === "label_held");
    expect([made.length, refused.length]).toEqual([1, 99]);
    const { json } = await here.call("GET", "/apps?environment=main&limit=100");
    expect(json.items).toHaveLength(1);
  });

  test("of the workspace's own apps are refused with the app, of strangers' without", async () => {
    const box = await here.box("gpu-1");
    await here.serve("shop", box, content());
    const wanting = { content: content({ x: { label: "shop-f" } }) };
    const ours = await here.call("POST", "/apps/other/versions?environment=main", wanting);
    expect(ours.json.detail).toBe(
      `${here.workspace}--shop-f belongs to the deployed app shop in environment main of workspace ${here.workspace}; ` +
        "stop it (postern app stop shop -e main) or choose another label",
    );
    await here.call("PUT", "/domains/api.example.net");
    const settings = { timeout: 300, resultTtl: 3600, customDomains: ["api.example.net"] };
    await here.serve("first", box, content({ x: { settings } }));
    const same = await here.call("POST", "/apps/second/versions?environment=main", {
      content: content({ x: { settings } }),
    });
    expect(same.json.detail).toMatch(/^api\.example\.net belongs to .* or choose another domain$/);
    // Both are normalised to the same source.
    const stranger = new Deploying(`${here.workspace}.`);
    await stranger.box("gpu-1");
    const theirs = await stranger.call("POST", "/apps/shop/versions?environment=main", {
      content: content(),
    });
    expect(theirs).toMatchObject({ status: 409, json: { code: "label_held" } });
    expect(theirs.json.detail).toBe(`${here.workspace}--shop-f is taken; choose another label`);
  });

  test("of one app must differ", async () => {
    await here.box("gpu-1");
    const refused = await here.call("POST", "/apps/shop/versions?environment=main", {
      content: content({ f_g: {}, "f-g": {} }),
    });
    expect(refused).toMatchObject({ status: 409, json: { code: "conflict" } });
    expect(refused.json.detail).toContain("f_g and f-g would both be called");
  });
});

describe("a version is refused", () => {
  test.each<[string, (made: ReturnType<typeof content>) => object, string, string]>([
    ["without endpoints", (made) => ({ ...made, endpoints: [] }), "parameter_invalid", "endpoints"],
    [
      "with a pool that is not there",
      () => content({ f: { pool: "g" } }),
      "conflict",
      "f is on the containers of g, which has none",
    ],
    [
      "when configuration and endpoints differ",
      (made) => ({ ...made, config: {} }),
      "conflict",
      "config.endpoint",
    ],
    [
      "with a configuration that is too large",
      (made) => ({ ...made, config: { ...made.config, text: "x".repeat(131_072) } }),
      "parameter_invalid",
      "131072 bytes",
    ],
    [
      "with a label that is none",
      () => content({ f: { label: "No_Label" } }),
      "parameter_invalid",
      "a-z, 0-9",
    ],
    [
      "when no box fits",
      () => content({ f: { boxes: ["tpu-*"] } }),
      "conflict",
      'boxes = ["tpu-*"]',
    ],
    [
      "with a secret that is not there",
      () => content({ f: { secrets: ["huggingface"] } }),
      "conflict",
      "huggingface",
    ],
    [
      "with an unknown setting",
      (made) => ({ ...made, surprise: true }),
      "parameter_invalid",
      "surprise",
    ],
  ])("%s", async (_name, change, code, words) => {
    await here.box("gpu-1");
    const refused = await here.call("POST", "/apps/shop/versions?environment=main", {
      content: change(content()),
    });
    expect(refused.json).toMatchObject({ code });
    expect(refused.json.detail).toContain(words);
    expect((await here.call("GET", "/apps")).json.items).toEqual([]);
  });

  test("without a box in the workspace, with what to do about it", async () => {
    const refused = await here.call("POST", "/apps/shop/versions?environment=main", {
      content: content(),
    });
    expect(refused.json.detail).toContain("start postern origin");
  });

  test("in an environment that is not there; without one it is of main", async () => {
    await here.box("gpu-1");
    const path = "/apps/shop/versions";
    const elsewhere = await here.call("POST", `${path}?environment=nowhere`, {
      content: content(),
    });
    expect(elsewhere).toMatchObject({ status: 404, json: { code: "not_found" } });
    expect((await here.call("POST", path, { content: content() })).status).toBe(201);
    expect((await here.call("GET", "/apps")).json.items).toMatchObject([{ environment: "main" }]);
  });
});
