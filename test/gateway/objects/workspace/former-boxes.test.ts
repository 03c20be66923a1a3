/** What the edge is told of the boxes that served an endpoint before. */
import { afterEach, beforeEach, expect, test, vi } from "vitest";

import { enrol } from "../../fake-agent.ts";
import { content, type DeployBox, Deploying } from "./deploying.ts";

const TIMEOUT_S = 2;
const RESULT_TTL_S = 3_600;
/** With the time in which an edge may be late. */
const KEPT_MS = (TIMEOUT_S + RESULT_TTL_S) * 1_000 + 60_000;

/** A moment of the epoch, within 5 s: waiting moves the clock. */
const about = (ms: number): number => expect.closeTo(ms, -4) as number;

let workspaces = 0;
let here: Deploying;
let one: DeployBox;
let two: DeployBox;

beforeEach(async () => {
  vi.useFakeTimers({ toFake: ["Date"], now: Date.now() });
  workspaces += 1;
  here = new Deploying(`former-${workspaces}`);
  one = await here.box("gpu-1");
  two = await here.box("gpu-2");
});
afterEach(() => {
  vi.useRealTimers();
});

/** Deploys to these boxes, which take it at once. */
async function deploy(boxes: readonly DeployBox[], resultTtl = RESULT_TTL_S): Promise<void> {
  const names = boxes.map(({ name }) => name);
  const settings = { timeout: TIMEOUT_S, resultTtl };
  const { version } = await here.stage("shop", content({ f: { boxes: names, settings } }));
  await here.start("shop", version);
  for (const box of boxes) {
    const app = (await box.assignments()).apps.find(({ app: name }) => name === "shop")?.id ?? "";
    await box.report([{ app, version, state: "ready" }]);
  }
  await vi.waitFor(async () =>
    expect(await here.known("shop-f")).toMatchObject({
      boxes: names.map((box) => ({ box })),
      settings,
    }),
  );
}

/** The former boxes that the edge is told of. */
async function formerBoxes() {
  const known = await here.known("shop-f");
  return known === undefined || "stopped" in known ? undefined : known.formerBoxes;
}

test("a version on other boxes leaves the boxes before it known until their calls are forgotten", async () => {
  await deploy([one]);
  expect(await formerBoxes()).toEqual([]);
  await deploy([one, two]);
  const first = { boxes: ["gpu-1"], untilMs: about(Date.now() + KEPT_MS) };
  expect(await formerBoxes()).toEqual([first]);
  // A version on the same boxes changes nothing.
  await deploy([one, two]);
  expect(await formerBoxes()).toEqual([first]);

  await here.pass(6_000);
  await deploy([two]);
  const second = { boxes: ["gpu-1", "gpu-2"], untilMs: about(Date.now() + KEPT_MS) };
  expect(await formerBoxes()).toEqual([second, first]);
});

test("boxes whose calls are forgotten are told of no more", async () => {
  await deploy([one], 1);
  await deploy([two]);
  expect(await formerBoxes()).toMatchObject([{ boxes: ["gpu-1"] }]);
  await here.pass(64_000);
  // Links that are silent for so long are lost.
  for (const box of [one, two]) await box.connect();
  await deploy([one, two]);
  expect(await formerBoxes()).toMatchObject([{ boxes: ["gpu-2"] }]);
});

test("a shorter result_ttl shortens nothing for calls that came before it", async () => {
  await deploy([one]);
  await deploy([one], 1);
  const shortenedAt = Date.now();
  await here.pass(6_000);
  await deploy([two], 1);
  expect(await formerBoxes()).toEqual([
    { boxes: ["gpu-1"], untilMs: about(shortenedAt + KEPT_MS) },
  ]);
});

test("a box that is revoked is asked for no key, and for its own again when it is enrolled anew", async () => {
  await deploy([one]);
  await deploy([two]);
  const former = [{ boxes: ["gpu-1"], untilMs: about(Date.now() + KEPT_MS) }];
  expect(await formerBoxes()).toEqual(former);
  await here.call("DELETE", "/boxes/gpu-1");
  await vi.waitFor(async () => expect(await formerBoxes()).toEqual([]));
  await enrol("gpu-1", here.workspace);
  await one.connect();
  await vi.waitFor(async () => expect(await formerBoxes()).toEqual(former));
});

test("a box that is revoked and enrolled anew finds the keys that another one got meanwhile", async () => {
  await deploy([one, two]);
  await here.call("DELETE", "/boxes/gpu-1");
  await vi.waitFor(async () =>
    expect(await here.known("shop-f")).toMatchObject({ boxes: [{ box: "gpu-2" }] }),
  );
  await here.pass(6_000);
  await enrol("gpu-1", here.workspace);
  await one.connect();
  await vi.waitFor(async () =>
    expect(await formerBoxes()).toEqual([
      { boxes: ["gpu-2"], untilMs: about(Date.now() + KEPT_MS) },
    ]),
  );
});

test("an app that was stopped leaves its boxes known to the next one of its name", async () => {
  await deploy([one]);
  await here.call("POST", "/apps/shop/stop?environment=main");
  const former = [{ boxes: ["gpu-1"], untilMs: about(Date.now() + KEPT_MS) }];
  await here.pass(6_000);
  await deploy([two]);
  expect(await formerBoxes()).toEqual(former);
  await here.call("DELETE", "/boxes/gpu-1");
  await vi.waitFor(async () => expect(await formerBoxes()).toEqual([]));
});

test("a ninth change of boxes forgets the set that was left first, and no other", async () => {
  const three = await here.box("gpu-3");
  const four = await here.box("gpu-4");
  const sets = [
    [one],
    [two],
    [three],
    [four],
    [one, two],
    [one, three],
    [one, four],
    [two, three],
    [two, four],
    [three, four],
  ];
  const names = (boxes: readonly DeployBox[]) => ({ boxes: boxes.map(({ name }) => name) });
  for (const boxes of sets.slice(0, 9)) {
    await deploy(boxes);
    await here.pass(1_000);
  }
  expect(await formerBoxes()).toMatchObject(sets.slice(0, 8).toReversed().map(names));
  await deploy(sets[9] ?? []);
  expect(await formerBoxes()).toMatchObject(sets.slice(1, 9).toReversed().map(names));
});
