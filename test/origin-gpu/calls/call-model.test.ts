/**
 * Calls over links that break, in random order: real calls, rings, bodies and both ends of the
 * multiplexer. Windows are checked by the peers themselves (they throw ProtocolError), bytes by the
 * world (every byte that arrives is compared), the rest here.
 */
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { KIB } from "../../../base/units.ts";
import { RingBudget } from "../../../origin-gpu/calls/response/replay-ring.ts";
import { DETACHED_MS, MAX_GRANTED_BYTES_PER_LINK } from "../../../routing/wire/limits.ts";
import { type App, type Client, type Script, turn, World } from "./world.ts";

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
});
afterEach(() => {
  vi.useRealTimers();
});

const advanceTimers = (ms: number): void => void vi.advanceTimersByTime(ms);

const body = fc.oneof(
  fc.record({ whole: fc.constant(true), bodyBytes: fc.nat(4 * KIB) }),
  fc.record({ whole: fc.constant(false), bodyBytes: fc.oneof(fc.nat(2000), fc.nat(300 * KIB)) }),
);
const script: fc.Arbitrary<Script> = fc
  .record({
    body,
    answerBytes: fc.oneof(fc.nat(300), fc.nat(100 * KIB), fc.nat(4096 * KIB)),
    declaresLength: fc.boolean(),
    eager: fc.boolean(),
    readsFirst: fc.boolean(),
  })
  .map(({ body: request, ...answer }) => Object.assign(answer, request));

/** What may happen next, and how often: mostly traffic, sometimes trouble. */
const WEIGHTS = {
  flow: 12,
  open: 2,
  start: 2,
  read: 2,
  send: 2,
  produce: 2,
  burst: 2,
  drain: 2,
  take: 2,
  turn: 2,
  tick: 2,
  toAgent: 2,
  toGateway: 2,
  congest: 1,
  relieve: 1,
  attach: 1,
  redial: 1,
  repair: 2,
  cut: 1,
  loseGateway: 1,
  loseAgent: 1,
  fail: 1,
  leave: 1,
  breakBody: 1,
  wait: 1,
};
type Action = keyof typeof WEIGHTS;
const TROUBLE: ReadonlySet<Action> = new Set<Action>([
  "cut",
  "loseGateway",
  "loseAgent",
  "fail",
  "leave",
  "breakBody",
  "wait",
]);

function actions(wanted: (action: Action) => boolean): fc.Arbitrary<Action> {
  const names = (Object.keys(WEIGHTS) as Action[]).filter((name) => wanted(name));
  return fc.oneof(
    ...names.map((name) => ({ arbitrary: fc.constant(name), weight: WEIGHTS[name] })),
  );
}

interface Step {
  action: Action;
  /** Which client, app or link. */
  pick: number;
  /** How much of it. */
  amount: number;
  script: Script;
}

function steps(wanted: (action: Action) => boolean, maxLength: number): fc.Arbitrary<Step[]> {
  const step = fc.record({
    action: actions(wanted),
    pick: fc.nat(30),
    amount: fc.integer({ min: 1, max: 200 }),
    script,
  });
  return fc.array(step, { minLength: 20, maxLength, size: "max" });
}

const CANNOT_RESUME = "origin_error the response cannot be resumed from so far back";

/** What went wrong on purpose; a call may fail for these reasons and for no other. */
interface Trouble {
  cuts: number;
  waits: number;
}

function act(world: World, { action, pick, amount, script: next }: Step, trouble: Trouble): void {
  const wire = world.wires[pick % world.wires.length];
  if (wire === undefined) return;
  const client: Client | undefined = world.clients[pick % Math.max(1, world.clients.length)];
  const app: App | undefined = world.apps[pick % Math.max(1, world.apps.length)];
  switch (action) {
    case "open":
      if (world.clients.length < 12) world.open(next, pick);
      return;
    case "start":
      return app?.start();
    case "read":
      return app?.read();
    case "produce":
      return app?.produce(amount * amount);
    case "flow":
      return world.flow(amount, 200 * amount);
    case "repair":
      wire.redial(world.acceptor);
      for (const [index, each] of world.clients.entries()) world.attach(each, index + pick);
      return;
    case "burst":
      for (let count = 0; count < amount; count += 1) app?.produce(64 * KIB);
      return;
    case "fail":
      return app?.fail();
    case "send":
      return client?.sendBody(amount * 400);
    case "drain":
      return client?.drain(amount);
    case "take":
      return client?.take();
    case "leave":
      return client?.leave();
    case "breakBody":
      return client?.breakBody();
    case "attach":
      if (client !== undefined) world.attach(client, amount);
      return;
    case "toAgent":
    case "toGateway":
      wire.deliver(action === "toAgent");
      return;
    case "turn":
      return world.turn();
    case "tick":
      return world.advance(5);
    case "wait":
      trouble.waits += 1;
      return world.advance(DETACHED_MS + 1);
    case "congest":
      wire.congested = true;
      return;
    case "relieve":
      return wire.relieve();
    case "redial":
      return wire.redial(world.acceptor);
    case "cut":
    case "loseGateway":
    case "loseAgent":
      trouble.cuts += 1;
      if (action !== "loseAgent") wire.loseGateway();
      if (action !== "loseGateway") wire.loseAgent();
      return;
    default:
      action satisfies never;
  }
}

function checkBudgets(world: World): void {
  for (const { pair } of world.wires) {
    for (const { budget } of [pair.gateway, pair.agent]) {
      expect(budget.granted).toBeGreaterThanOrEqual(0);
      expect(budget.granted).toBeLessThanOrEqual(MAX_GRANTED_BYTES_PER_LINK);
    }
  }
  expect(world.rings.held).toBeGreaterThanOrEqual(0);
}

function checkEndings(world: World, trouble: Trouble, shortRings: boolean): void {
  for (const client of world.clients) {
    const app = world.apps.find(({ call }) => call.head.callId === client.id);
    expect(world.executions.get(client.id) ?? 0).toBeLessThanOrEqual(1);
    const { phase, failure } = client;
    expect(["done", "failed", "left"]).toContain(phase);
    if (phase === "done") expect(app?.finished).toBe(true);
    if (phase !== "failed") continue;
    const reason = `${failure?.code} ${failure?.detail}`;
    if (reason === "origin_error the app failed") expect(app?.failed).toBe(true);
    else if (reason === CANNOT_RESUME) expect(shortRings).toBe(true);
    else if (failure?.code === "call_lost") expect(trouble.cuts).toBeGreaterThan(0);
    else expect(failure?.code).toBe("upload_interrupted");
  }
  for (const app of world.apps) {
    // A short body with a clean end is what an app must never see.
    if (app.bodyWhole) expect(app.bodyRead).toBe(app.script.bodyBytes);
    // No client waits for it: it was told so.
    const client = world.clients.find(({ id }) => id === app.call.head.callId);
    const wanted = client?.phase === "done" || app.finished || app.failed;
    if (app.started && !wanted) expect(app.aborted).toBeDefined();
  }
}

async function live(steps: readonly Step[], links: number, shortRings: boolean): Promise<void> {
  const rings = new RingBudget(shortRings ? 0 : undefined);
  const world = new World({ advanceTimers, rings }, links);
  const trouble: Trouble = { cuts: 0, waits: 0 };
  for (const each of steps) {
    act(world, each, trouble);
    if (["read", "start", "flow"].includes(each.action)) {
      await turn();
    }
    checkBudgets(world);
  }
  await world.finish();
  for (const { pair } of world.wires) {
    expect([pair.gateway.streams, pair.agent.streams]).toEqual([0, 0]);
    expect([pair.gateway.budget.granted, pair.agent.budget.granted]).toEqual([0, 0]);
  }
  // A failed call waits for a client that may ask again; then it is gone like the others.
  world.advance(DETACHED_MS + 1);
  expect([rings.held, await world.idle()]).toEqual([0, true]);
  checkEndings(world, trouble, shortRings);
}

describe("any order of traffic and trouble", () => {
  test.each([
    ["one link", 1, false],
    ["two links", 2, false],
    ["one link, short rings", 1, true],
  ])(
    "%s: no byte lost, doubled or reordered, no call run twice, nothing left behind",
    async (_, links, shortRings) => {
      await fc.assert(
        fc.asyncProperty(
          steps(() => true, 250),
          (each) => live(each, links, shortRings),
        ),
        { numRuns: 300 },
      );
    },
    60_000,
  );
});

test("without trouble every call is answered in full", async () => {
  const calm = steps((action) => !TROUBLE.has(action), 150);
  await fc.assert(
    fc.asyncProperty(calm, async (each) => {
      const world = new World({ advanceTimers }, 1);
      for (const step of each) act(world, step, { cuts: 0, waits: 0 });
      await world.finish();
      for (const { phase, got, script: wanted } of world.clients) {
        expect([phase, got]).toEqual(["done", wanted.answerBytes]);
      }
      for (const app of world.apps) {
        if (app.script.readsFirst) expect(app.bodyRead).toBe(app.script.bodyBytes);
      }
      expect([world.rings.held, await world.idle()]).toEqual([0, true]);
    }),
    { numRuns: 50 },
  );
}, 60_000);

const download = (answerBytes: number): Script => ({
  bodyBytes: 0,
  whole: true,
  answerBytes,
  declaresLength: false,
  eager: false,
  readsFirst: false,
});

/**
 * Lets a client's window grow to its largest, then the client reads `gulps` times as much as the Worker
 * holds for it, and then nothing more, while the app goes on.
 */
async function stalled(world: World, gulps: number): Promise<Client> {
  const client = world.open(download(5000 * KIB), 0);
  for (let round = 0; round < 7; round += 1) {
    for (let count = 0; count < 16; count += 1) world.apps.at(-1)?.produce(64 * KIB);
    world.flow(100, 0);
    // It reads everything before more of it comes: that is what makes a window grow.
    for (let count = 0; count < 8; count += 1) {
      client.take();
      client.drain(100);
    }
    await turn();
  }
  for (let round = 0; round < 20; round += 1) {
    for (let count = 0; count < 4; count += 1) world.apps.at(-1)?.produce(64 * KIB);
    world.turn();
    world.advance(5);
    if (round < gulps) client.take();
    client.drain(100);
    while (world.wires[0]?.deliver(true));
    while (world.wires[0]?.deliver(false));
  }
  return client;
}

test.each([0, 1, 2, 3, 4])(
  "a client that stopped reading with all that it may have under way is resumed (%i)",
  async (gulps) => {
    const world = new World({ advanceTimers }, 1);
    const client = await stalled(world, gulps);
    const waiting = (world.apps[0]?.produced ?? 0) - client.got;
    expect(waiting).toBeGreaterThan(1024 * KIB);
    world.wires[0]?.loseGateway();
    world.wires[0]?.loseAgent();
    await world.finish();
    expect([client.phase, client.failure, client.got]).toEqual(["done", undefined, 5000 * KIB]);
  },
);

test("slow readers on other streams change nothing for a stream, frame by frame", async () => {
  const course = async (slow: number): Promise<number[]> => {
    const world = new World({ advanceTimers }, 1);
    for (let count = 0; count < slow; count += 1) await stalled(world, 0);
    const client = world.open(download(1024 * KIB), 0);
    const got: number[] = [];
    for (let round = 0; round < 60 && client.phase === "open"; round += 1) {
      const app = world.apps.at(-1);
      if (app?.call.head.callId === client.id) {
        app.start();
        app.produce(64 * KIB);
      }
      client.drain(100);
      client.take();
      world.turn();
      world.advance(5);
      while (world.wires[0]?.deliver(true));
      while (world.wires[0]?.deliver(false));
      got.push(client.got);
    }
    expect(client.phase).toBe("done");
    return got;
  };
  expect(await course(12)).toEqual(await course(0));
});
