import { env as bindings } from "cloudflare:test";
import { afterEach, beforeEach, expect, test, vi } from "vitest";

import {
  type Attempt,
  failedAttempt,
  type FailureCause,
} from "../../../../gateway/contracts/attempt.ts";
import type { Env } from "../../../../gateway/contracts/env.ts";
import { entryOf } from "../../../../gateway/worker/edge/entry.ts";
import {
  type Candidate,
  tryCandidates,
  type Unplaced,
} from "../../../../gateway/worker/proxy/candidates.ts";
import type { PoolLoad } from "../../../../routing/wire/pool-load.ts";

/** Worker and objects are apart: nothing is known of boxes at the start. */
const env = { ...(bindings as unknown as Env), POSTERN_ONE_ISOLATE: "" };

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["Date"] });
});
afterEach(() => {
  vi.useRealTimers();
});

const IDLE: PoolLoad = { running: 0, waiting: 0, room: 4, coming: 0 };
const FULL: PoolLoad = { running: 4, waiting: 0, room: 0, coming: 0 };

type BoxState = PoolLoad | FailureCause | "queue_full" | "elsewhere" | "starting_failed";

/** Boxes in these states. The names are of one test: the isolate remembers boxes. */
class Boxes {
  readonly states: Record<string, BoxState>;
  readonly tried: Candidate[] = [];
  readonly #workspace: string;

  constructor(workspace: string, states: Record<string, BoxState>) {
    this.#workspace = workspace;
    this.states = states;
  }

  /** The box that takes a call, or the code that its client gets. */
  async place(extras: Partial<Unplaced> = {}): Promise<string> {
    this.tried.length = 0;
    const call = {
      callId: "c",
      workspace: this.#workspace,
      boxes: Object.keys(this.states).map((box) => ({ box, links: 1 })),
      share: "e",
      ...extras,
    };
    const { attempt, place } = await tryCandidates(env, call, async (candidate) => {
      this.tried.push(candidate);
      return await Promise.resolve(this.#answer(candidate));
    });
    return attempt.kind === "failed" ? attempt.failure.code : place.box;
  }

  /** Boxes in the order in which they were tried; with `!` where they had to take the call. */
  get order(): string[] {
    return this.tried.map(
      ({ place, mayRefuse }) => `${place.box}${mayRefuse === false ? "!" : ""}`,
    );
  }

  #answer({ place, mayRefuse }: Candidate): Attempt {
    const state = this.states[place.box];
    if (state === undefined) throw new Error(`no such box: ${place.box}`);
    if (state === "queue_full") {
      return failedAttempt("refused", { code: "queue_full", detail: "full" });
    }
    if (state === "starting_failed") {
      return failedAttempt("refused", { code: "starting_failed", detail: "it crashes" });
    }
    if (state === "elsewhere") {
      const failure = { code: "no_origin", detail: "another box has it", followed: true } as const;
      return failedAttempt("refused", failure);
    }
    if (typeof state === "string")
      return failedAttempt(state, { code: "no_origin", detail: "away" });
    if (mayRefuse === true && state.room === 0) {
      return failedAttempt("refused", { code: "queue_full", detail: "no room", load: state });
    }
    const head = { status: 200, headers: [], load: state };
    return { kind: "response", head, body: null, resumable: false };
  }
}

test("a box that refused many calls gets some as soon as it takes them", async () => {
  const boxes = new Boxes("refusing", { one: IDLE, two: "refused" });
  const places = async (): Promise<Set<string>> => {
    const taken = new Set<string>();
    for (let call = 0; call < 30; call += 1) taken.add(await boxes.place());
    return taken;
  };
  expect(await places()).toEqual(new Set(["one"]));
  boxes.states["two"] = IDLE;
  expect(await places()).toEqual(new Set(["one", "two"]));
});

test("a box without room refuses while another one has room, whatever the order", async () => {
  const boxes = new Boxes("room", { a: FULL, b: FULL, c: IDLE });
  for (let call = 0; call < 12; call += 1) expect(await boxes.place()).toBe("c");
  expect(boxes.order).toEqual(["c"]);
});

test("where no box has room the call waits at the least loaded one", async () => {
  const boxes = new Boxes("queue", {
    a: { ...FULL, waiting: 3 },
    b: { ...FULL, waiting: 1 },
    c: { ...FULL, waiting: 2 },
  });
  expect(await boxes.place()).toBe("b");
  expect(boxes.order.slice(0, 3).toSorted()).toEqual(["a", "b", "c"]);
  expect(boxes.order.slice(3)).toEqual(["b!"]);
});

test("a full queue is the answer only where every box has one", async () => {
  const boxes = new Boxes("429", { a: "queue_full", b: FULL });
  for (let call = 0; call < 6; call += 1) expect(await boxes.place()).toBe("b");
  boxes.states["b"] = "queue_full";
  expect(await boxes.place()).toBe("queue_full");
});

test("the only box of an endpoint is never asked to refuse", async () => {
  const boxes = new Boxes("only", { a: IDLE });
  expect(await boxes.place()).toBe("a");
  expect(boxes.tried).toMatchObject([{ mayRefuse: undefined, wait: "lately" }]);
});

test("the less loaded of two gets the call, and a busy one is asked again after a while", async () => {
  const boxes = new Boxes("two", {
    a: { ...IDLE, running: 4, room: 4 },
    b: { ...IDLE, running: 1, room: 7 },
  });
  await boxes.place();
  await boxes.place();
  for (let call = 0; call < 3; call += 1) expect(await boxes.place()).toBe("b");
  vi.setSystemTime(Date.now() + 60_000);
  const placed = new Set<string>();
  for (let call = 0; call < 30; call += 1) placed.add(await boxes.place());
  expect(placed).toEqual(new Set(["a", "b"]));
});

test("a session's box comes first, and its calls wait there", async () => {
  const boxes = new Boxes("session", { a: IDLE, b: FULL });
  expect(await boxes.place({ preferred: "b" })).toBe("b");
  expect(boxes.order).toEqual(["b!"]);
  boxes.states["b"] = "no_link";
  expect(await boxes.place({ preferred: "b" })).toBe("a");
  expect(boxes.order).toEqual(["b!", "a"]);
  // It was found away: the next one loses no time.
  expect(await boxes.place({ preferred: "b" })).toBe("a");
  expect(boxes.order).toEqual(["a"]);
});

test("a box that was found away is tried by one call in a second, and by all when it is back", async () => {
  const boxes = new Boxes("probe", { a: "no_link", b: { ...IDLE, running: 1 } });
  await boxes.place();
  await boxes.place();
  for (let call = 0; call < 20; call += 1) {
    expect(await boxes.place()).toBe("b");
    expect(boxes.order).toEqual(["b"]);
  }
  vi.setSystemTime(Date.now() + 1_000);
  let probes = 0;
  for (let call = 0; call < 20; call += 1) {
    expect(await boxes.place()).toBe("b");
    probes += boxes.order.filter((box) => box === "a").length;
  }
  expect(probes).toBe(1);
  boxes.states["a"] = IDLE;
  vi.setSystemTime(Date.now() + 1_000);
  const placed = new Set<string>();
  for (let call = 0; call < 20; call += 1) placed.add(await boxes.place());
  expect(placed).toContain("a");
});

test("the nearest region comes first, spills over while it is full, and takes calls again afterwards", async () => {
  const boxes = new Boxes("near", { near: IDLE, far: IDLE });
  const places = [
    { box: "far", links: 1, region: "us-east" },
    { box: "near", links: 1, region: "eu-west-2" },
  ];
  const request = new Request("http://e.localhost/");
  const entry = entryOf({ ...env, POSTERN_REGION: "eu-west-1" }, request, places);
  const place = async () => await boxes.place({ boxes: places, entry });
  for (let call = 0; call < 4; call += 1) expect(await place()).toBe("near");
  boxes.states["near"] = FULL;
  for (let call = 0; call < 4; call += 1) expect(await place()).toBe("far");
  boxes.states["near"] = IDLE;
  vi.setSystemTime(Date.now() + 2_000);
  expect(await place()).toBe("near");
});

test("regions of boxes count only where there is a choice", () => {
  const place = { box: "a", links: 1, region: "eu" };
  const request = new Request("http://e.localhost/");
  expect(entryOf(env, request, [place])).toBeUndefined();
  expect(
    entryOf(env, request, [
      { box: "a", links: 1 },
      { box: "b", links: 1 },
    ]),
  ).toBeUndefined();
  expect(entryOf(env, request, [place, place])).toEqual([]);
});

test("where each box was there a moment ago, a new call waits for one of them", async () => {
  const boxes = new Boxes("blink", { a: "link_away", b: "no_link" });
  await boxes.place();
  expect(boxes.tried).toHaveLength(3);
  expect(boxes.tried[2]).toMatchObject({ place: { box: "a" }, wait: "seen", mayRefuse: false });
  // The next call too, though this isolate has found both away.
  await boxes.place();
  expect(boxes.tried.at(-1)).toMatchObject({ place: { box: "a" }, wait: "seen" });
});

test("where several boxes were there a moment ago, a call goes to the one that is back, whichever died", async () => {
  const boxes: Boxes = new Boxes("blinks", {
    dead: "link_away",
    get back() {
      return boxes.tried.length > 3 ? IDLE : "link_away";
    },
  });
  expect(await boxes.place()).toBe("back");

  Object.defineProperty(boxes.states, "back", { value: "link_away" });
  expect(await boxes.place()).toBe("no_origin");
  const waits = boxes.tried.slice(2).map(({ place, wait }) => [place.box, Number(wait)] as const);
  expect(new Set(waits.map(([box]) => box))).toEqual(new Set(["dead", "back"]));
  expect(waits.reduce((sum, [, ms]) => sum + ms, 0)).toBe(5_000);
});

test("a box that another one has the containers of says less than that one, whichever is asked first", async () => {
  const states = { one: "elsewhere", two: "starting_failed" } as const;
  const places = new Set<string>();
  const orders = new Set<string>();
  for (let number = 0; number < 40; number += 1) {
    const boxes = new Boxes(`outdone-${number}`, states);
    places.add(await boxes.place());
    orders.add(boxes.order.join());
  }
  expect([...places]).toEqual(["starting_failed"]);
  expect([...orders].toSorted()).toEqual(["one,two", "two,one"]);
  const away = new Boxes("outdone-away", { one: "elsewhere", two: "no_link" });
  expect(await away.place()).toBe("no_origin");
});
