/** How many containers a function has, changed without a deployment: the API, the boxes that hear of it, the record. */
import { afterEach, beforeEach, expect, test, vi } from "vitest";

import { type Answer, content, type DeployBox, Deploying } from "./deploying.ts";

let workspaces = 0;
let here: Deploying;
let box: DeployBox;

beforeEach(async () => {
  vi.useFakeTimers({ toFake: ["Date"], now: Date.now() });
  workspaces += 1;
  here = new Deploying(`scaling-${workspaces}`);
  box = await here.box("gpu-1");
});
afterEach(() => {
  vi.useRealTimers();
});

/** An app with these keys of its functions in postern.toml. */
function configured(functions: Record<string, object>, pools: Record<string, string> = {}) {
  const names = Object.keys(functions);
  const made = content(
    Object.fromEntries(names.map((name) => [name, { pool: pools[name] ?? name }])),
  );
  const endpoint = names.map((name) => Object.assign({ function: name }, functions[name]));
  return { ...made, config: { app: "shop", endpoint } };
}

async function scale(name: string, change: unknown, app = "shop"): Promise<Answer> {
  return await here.call(
    "PATCH",
    `/apps/${app}/functions/${name}/scaling?environment=main`,
    change,
  );
}

async function scalingOfBox(): Promise<unknown> {
  const [assigned] = (await box.assignments()).apps;
  return assigned?.serving?.scaling;
}

test("a function has other numbers of containers, on top of those of before, and its box hears of it", async () => {
  await here.serve("shop", box, configured({ f: { max_containers: 3 }, g: {} }));
  expect(await scalingOfBox()).toBeUndefined();
  const before = box.notifications;
  expect(await scale("f", { min_containers: 2 })).toEqual({
    status: 200,
    json: {
      version: 1,
      function: "f",
      settings: {
        min_containers: 2,
        max_containers: 3,
        buffer_containers: 0,
        scaledown_window: 60,
      },
    },
  });
  await vi.waitFor(() => expect(box.notifications).toBeGreaterThan(before));
  expect(await scalingOfBox()).toEqual({ f: { min_containers: 2 } });
  const { json } = await scale("f", { max_containers: 10, scaledown_window: 2.5 });
  expect(json.settings).toMatchObject({ min_containers: 2, max_containers: 10 });
  const all = { min_containers: 2, max_containers: 10, scaledown_window: 2.5 };
  expect(await scalingOfBox()).toEqual({ f: all });
  expect((await here.app("shop")).scaling).toEqual({ f: all });
});

test("of two who scale at once the last one wins, and the history has both", async () => {
  await here.serve("shop", box, configured({ f: { max_containers: 9 } }));
  const { id } = (await here.call("GET", "/workspace")).json.token;
  const both = await Promise.all([
    scale("f", { min_containers: 2 }),
    scale("f", { min_containers: 5 }),
  ]);
  const last = both.map(({ json }) => json.settings.min_containers as number);
  const { scalings } = await here.version("shop", 1);
  expect(scalings).toHaveLength(2);
  expect(scalings[0]).toMatchObject({ function: "f", created_by: id });
  expect(last).toContain(scalings[1].change.min_containers);
  expect(await scalingOfBox()).toEqual({ f: scalings[0].change });
});

test("the record of a function's changes is bounded, and what they come to is kept", async () => {
  await here.serve("shop", box, configured({ f: { max_containers: 9 } }));
  await scale("f", { buffer_containers: 1 });
  for (let count = 0; count < 21; count += 1) await scale("f", { min_containers: count % 9 });
  const { scalings } = await here.version("shop", 1);
  expect(scalings).toHaveLength(20);
  expect(scalings[0].change).toEqual({ min_containers: 20 % 9 });
  expect(await scalingOfBox()).toEqual({ f: { buffer_containers: 1, min_containers: 20 % 9 } });
});

test("the next version begins with its own configuration, and so does a rollback", async () => {
  const shop = configured({ f: { max_containers: 3 } });
  await here.serve("shop", box, shop);
  await scale("f", { min_containers: 1 });
  const { version } = await here.stage("shop", shop);
  await here.start("shop", version);
  const [assigned] = (await box.assignments()).apps;
  expect(assigned?.serving?.scaling).toEqual({ f: { min_containers: 1 } });
  expect(assigned?.candidate?.scaling).toBeUndefined();
  await box.report([{ app: assigned?.id ?? "", version, state: "ready" }]);
  expect(await scalingOfBox()).toBeUndefined();
  expect((await here.app("shop")).scaling).toEqual({});
  expect((await here.version("shop", 1)).scalings).toHaveLength(1);
  await scale("f", { min_containers: 2 });
  await here.call("POST", "/apps/shop/rollback?environment=main", { version: 1 });
  await box.report([{ app: assigned?.id ?? "", version: 3, state: "ready" }]);
  expect(await here.app("shop")).toMatchObject({ version: 3, scaling: {} });
});

test("a version that fails leaves the numbers of the one that serves", async () => {
  const shop = configured({ f: {} });
  await here.serve("shop", box, shop);
  await scale("f", { min_containers: 1 });
  await here.stage("shop", shop);
  await here.start("shop", 2);
  const [assigned] = (await box.assignments()).apps;
  await box.report([{ app: assigned?.id ?? "", version: 2, state: "failed" }]);
  expect(await scalingOfBox()).toEqual({ f: { min_containers: 1 } });
});

test.each([
  [{ min_containers: -1 }, "body.min_containers: must be an integer from 0 to 10000"],
  [{ max_containers: 0 }, "body.max_containers: must be an integer from 1 to 10000"],
  [{ buffer_containers: 0.5 }, "body.buffer_containers: must be an integer from 0 to 10000"],
  [{ scaledown_window: 1 }, "body.scaledown_window: must be a number of seconds from 2 to 1200"],
  [{}, "body: must name one of min_containers, max_containers, buffer_containers, scaledown"],
  [{ target_inputs: 2 }, 'Unrecognized key: "target_inputs"'],
  [{ min_containers: 5 }, "min_containers = 5: must not be more than max_containers, which is 3"],
  [
    { max_containers: 1 },
    "buffer_containers = 2: must not be more than max_containers, which is 1",
  ],
])("%j is refused in the words of postern.toml", async (change, detail) => {
  await here.serve("shop", box, configured({ f: { max_containers: 3, buffer_containers: 2 } }));
  const refused = await scale("f", change);
  expect(refused).toMatchObject({ status: 400, json: { code: "parameter_invalid" } });
  expect(refused.json.detail).toContain(detail);
  expect(await scalingOfBox()).toBeUndefined();
  expect((await here.version("shop", 1)).scalings).toEqual([]);
});

test("a function whose number of containers cannot change is refused with the reason", async () => {
  const functions = {
    fixed: { port: 8000 },
    guest: { containers_of: "fixed" },
    upstream: { upstream: "http://127.0.0.1:1" },
  };
  await here.serve("shop", box, configured(functions, { guest: "fixed" }));
  const two = { max_containers: 2 };
  expect((await scale("fixed", two)).json.detail).toMatch(/^port = 8000: is one fixed port/);
  expect(await scale("fixed", { min_containers: 1 })).toMatchObject({ status: 200 });
  const detail = "max_containers = 2: has no effect here, since this endpoint starts no process";
  expect((await scale("upstream", two)).json.detail).toContain(detail);
  expect(await scale("guest", two)).toMatchObject({
    status: 409,
    json: { detail: "guest has no containers of its own: those of fixed serve it, scale that" },
  });
});

test("a function that is not there is not found, with the names of those that are", async () => {
  await here.serve("shop", box, configured({ f: {}, g: {} }));
  expect(await scale("h", { min_containers: 1 })).toMatchObject({
    status: 404,
    json: { code: "not_found", detail: "app shop has no function h; it has f, g" },
  });
  expect((await scale("f", { min_containers: 1 }, "none")).status).toBe(404);
});

test("an app that does not serve yet, or was stopped, is refused", async () => {
  await here.stage("shop", configured({ f: {} }), { deploying_box: "gpu-1" });
  await here.start("shop", 1);
  const early = await scale("f", { min_containers: 1 });
  expect(early).toMatchObject({ status: 409, json: { detail: "no version of shop serves yet" } });
  await here.call("POST", "/apps/shop/stop?environment=main");
  expect((await scale("f", { min_containers: 1 })).status).toBe(409);
});

test("a configuration that makes no sense to the gateway counts as one that says nothing", async () => {
  await here.serve("shop", box, configured({ f: { max_containers: "many", min_containers: 2 } }));
  const { json } = await scale("f", { scaledown_window: 5 });
  expect(json.detail).toBe("min_containers = 2: must not be more than max_containers, which is 1");
});
