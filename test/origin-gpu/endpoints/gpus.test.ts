/** Endpoints that share the GPUs of a box. Their containers are real processes; a GPU is a directory with a size. */
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { GIB } from "../../../base/units.ts";
import { StartFailure, type UsedPython } from "../../../origin-gpu/containers/container.ts";
import type { EndpointConfig } from "../../../origin-gpu/config/config.ts";
import { CARDS, GpuBox, type Model, ONE_GPU, SLEEPING } from "./gpu-box.ts";
import { PATIENCE } from "./stand-in-call.ts";

describe("endpoints with one GPU among them", () => {
  test("take turns, and no call is lost or overlaps with another model", async () => {
    const box = new GpuBox(CARDS.slice(0, 1));
    const models = ["a", "b", "c"].map((name) => box.model(name, ONE_GPU));
    const answers = await Promise.all(
      Array.from({ length: 12 }, async (_, index) => {
        const model = models[index % 3] as Model;
        return [await model.ask(`/slow?ms=${20 * index}`), await model.ask()];
      }),
    );
    const told = answers.flat();
    expect(told).toHaveLength(24);
    expect(new Set(told.map(({ name }) => name))).toEqual(new Set(["a", "b", "c"]));
    expect(told.every(({ cards }) => cards.join() === "0")).toBe(true);
    expect(box.hasRunOutOfMemory).toBe(false);
  });

  test("a busy container finishes its call before it makes room", async () => {
    const box = new GpuBox(CARDS.slice(0, 1));
    const [busy, other] = ["a", "b"].map((name) => box.model(name, ONE_GPU)) as [Model, Model];
    const slow = busy.ask("/slow?ms=1500");
    await box.told("a begins /slow");
    const waiting = other.ask();
    await box.told(/another container waits for its GPU/);
    expect((await slow).name).toBe("a");
    expect((await waiting).name).toBe("b");
    expect(box.hasRunOutOfMemory).toBe(false);
  });

  test("a start that no call waits for any more is given up", async () => {
    const box = new GpuBox(CARDS.slice(0, 1));
    const [busy, other] = ["a", "b"].map((name) => box.model(name, ONE_GPU)) as [Model, Model];
    const slow = busy.ask("/slow?ms=1000");
    await box.told("a begins /slow");
    const call = other.open("/");
    call.fail({ code: "client_closed", detail: "" });
    await slow;
    expect(box.lines.filter((line) => /makes room|b loads/.test(line))).toEqual([]);
  });

  test("a load that no call waits for any more is given up, and not at once", async () => {
    const toFake = ["setTimeout", "clearTimeout", "performance"] as const;
    vi.useFakeTimers({ toFake: [...toFake], shouldAdvanceTime: true });
    onTestFinished(() => void vi.useRealTimers());
    const box = new GpuBox(CARDS.slice(0, 1));
    const model = box.model("a", { ...ONE_GPU, loadMs: 600_000, startupTimeout: 600 });
    const call = model.open("/");
    await box.told("a loads on 0");
    call.fail({ code: "client_closed", detail: "" });
    vi.advanceTimersByTime(9_000);
    expect(model.states.at(-1)).toBe("starting");
    vi.advanceTimersByTime(1_000);
    await vi.waitFor(() => expect(model.states.at(-1)).toBe("gone"), PATIENCE);
    expect(box.lines).not.toContainEqual(expect.stringContaining("startup_timeout"));
  });
});

describe("a call that keeps_awake leaves out", () => {
  const POLLED = "/slow?ms=10000";
  const PATHS = { websockets: true, exceptPaths: ["/slow"] };

  test.each([
    ["by its path", {}, PATHS],
    ["as a WebSocket", { websocket: "key" }, { websockets: false, exceptPaths: [] }],
  ])("does not hold up another model that waits for the GPU: %s", async (_, kind, keepsAwake) => {
    const box = new GpuBox(CARDS.slice(0, 1));
    const tab = box.model("a", { ...ONE_GPU, keepsAwake, timeout: 60 });
    tab.open(POLLED, kind);
    await box.told("a begins /slow");
    expect((await box.model("b", ONE_GPU).ask()).name).toBe("b");
    expect(box.lines).not.toContain("a ends /slow");
    expect(box.hasRunOutOfMemory).toBe(false);
  });

  test("keeps no container beyond scaledown_window, and ends with it", async () => {
    const box = new GpuBox(CARDS);
    const tab = box.model("a", { ...ONE_GPU, keepsAwake: PATHS, scaledownWindow: 0.2 });
    const polling = tab.open(POLLED);
    expect(await polling.outcome).toBe("origin_error");
    await expect.poll(() => tab.endpoint.containers, PATIENCE).toEqual([]);
  });
});

test("two GPUs serve two endpoints at once, each with its own", async () => {
  const box = new GpuBox(CARDS);
  const models = ["a", "b"].map((name) => box.model(name, ONE_GPU));
  const [first, second] = await Promise.all(models.map((model) => model.ask()));
  expect(new Set([first?.cards.join(), second?.cards.join()])).toEqual(new Set(["0", "1"]));
});

test.each([
  ["buffer_containers", { bufferContainers: 1 }],
  ["min_containers", { minContainers: 2 }],
])("a container in advance makes nobody yield: %s", async (_, numbers) => {
  const box = new GpuBox(CARDS);
  for (const name of ["a", "b"]) await box.model(name, ONE_GPU).ask();
  const one = { ...ONE_GPU, maxContainers: 2, maxInputs: 1, targetInputs: 1 };
  await box.model("c", { ...one, ...numbers }).ask();
  expect(box.moves.filter((move) => move.endsWith("draining"))).toEqual(["a draining"]);
});

test("gpu_memory lets several share a GPU while their sum fits, and the others take turns", async () => {
  const box = new GpuBox(CARDS.slice(0, 1));
  const [first, second, third] = ["a", "b", "c"].map((name) =>
    box.model(name, { gpuMemory: 30 * GIB, memoryGib: 30 }),
  ) as [Model, Model, Model];
  const before = [await first.ask(), await second.ask()];
  expect(before.map(({ cards }) => cards)).toEqual([["0"], ["0"]]);
  expect(await first.ask()).toEqual(before[0]);
  expect((await third.ask()).cards).toEqual(["0"]);
  // The one used least recently made room.
  expect(await first.ask()).toEqual(before[0]);
  expect(box.hasRunOutOfMemory).toBe(false);
});

test("a claim that the box can never satisfy is refused at once, with the reason", async () => {
  const box = new GpuBox(CARDS.slice(0, 1));
  const model = box.model("a", { gpus: [{ kind: "H100", count: 2 }], isProved: false });
  const call = model.open("/");
  expect(await call.outcome).toBe("starting_failed");
  await expect(model.endpoint.ready).rejects.toThrow(
    "it needs 2 × H100, which this box does not have",
  );
});

describe("an endpoint whose Python environment is still to be made", () => {
  function preparing() {
    const box = new GpuBox(CARDS.slice(0, 1));
    const making = Promise.withResolvers<UsedPython>();
    const asked = vi.fn(async () => await making.promise);
    const released = vi.fn();
    const kind = { type: "asgi", target: "server:app" } as const;
    const traits = { ...ONE_GPU, kind, requirements: ["six"], usePython: asked };
    const model = box.model("python", traits);
    const call = model.open("/");
    return { box, making, asked, released, model, call };
  }

  test("leaves the GPU to others meanwhile, and has it afterwards", async () => {
    const { box, making, asked, released, model } = preparing();
    const other = box.model("b", ONE_GPU);
    expect((await other.ask()).cards).toEqual(["0"]);
    expect(model.endpoint.containers).toMatchObject([{ state: "claiming", cards: [] }]);
    expect(asked).toHaveBeenCalledOnce();
    making.resolve({ python: "/none/python", release: released });
    // It gets the GPU, and its process can't begin.
    await box.told(/another container waits for its GPU/);
    await vi.waitFor(() => expect(released).toHaveBeenCalled(), PATIENCE);
    expect(box.lines).toContainEqual(expect.stringContaining("/none/python"));
  });

  test("never has the GPU where the environment can't be made", async () => {
    const { box, making, model } = preparing();
    const other = box.model("b", ONE_GPU);
    const before = await other.ask();
    making.reject(new StartFailure("starting_failed", "no such package: six"));
    await box.told(/no such package: six/);
    await vi.waitFor(() => expect(model.endpoint.activity.failed).toBe(1), PATIENCE);
    expect((await other.ask()).pid).toBe(before.pid);
    expect(box.lines.join()).not.toContain("makes room");
  });

  test("lets go of it where nobody waits any more", async () => {
    const { making, released, model, call } = preparing();
    await model.endpoint.close();
    making.resolve({ python: "python3", release: released });
    await vi.waitFor(() => expect(released).toHaveBeenCalledOnce(), PATIENCE);
    expect(call.over).toBe(false);
  });
});

describe("sleep and wake", () => {
  const post = (path: string) => ({ method: "POST", path, headers: {} }) as const;

  test("a model sleeps instead of ending, and wakes with its process", async () => {
    const box = new GpuBox(CARDS.slice(0, 1));
    const [first, second] = ["a", "b"].map((name) => box.model(name, SLEEPING)) as [Model, Model];
    const before = await first.ask();
    await second.ask();
    await box.told("a sleeps");
    expect(await first.ask()).toEqual({ ...before, loads: 2 });
    await box.told("b sleeps");
    expect(box.hasRunOutOfMemory).toBe(false);
  });

  test("a call that waits until its model has woken is told so: it has waited for no place", async () => {
    const box = new GpuBox(CARDS.slice(0, 1));
    const wake = [post("/wake"), post("/weights?ms=500")];
    const model = box.model("a", { ...SLEEPING, wake });
    await model.ask();
    await box.model("b", ONE_GPU).ask();
    await box.told("a sleeps");
    const call = model.open("/use");
    expect(await call.outcome).toBe(200);
    expect(call.timing?.start).toBeGreaterThanOrEqual(500);
    expect(call.timing?.queue).toBeLessThan(500);
  });

  test("a model that asks to be replaced while it makes room ends instead", async () => {
    const box = new GpuBox(CARDS.slice(0, 1));
    const [first, second] = ["a", "b"].map((name) => box.model(name, SLEEPING)) as [Model, Model];
    const slow = first.ask("/slow?ms=1000&drains");
    await box.told("a begins /slow");
    const waiting = second.ask();
    await box.told(/another container waits for its GPU/);
    const before = await slow;
    expect((await waiting).name).toBe("b");
    expect(await first.ask()).toMatchObject({ name: "a", loads: 1 });
    expect((await first.ask()).pid).not.toBe(before.pid);
    expect(box.hasRunOutOfMemory).toBe(false);
  });

  test("of several that sleep the one that has slept longest ends when the machine's memory is short", async () => {
    const box = new GpuBox(CARDS.slice(0, 1));
    const models = ["a", "b", "c"].map((name) => box.model(name, SLEEPING));
    const [first, second, third] = models as [Model, Model, Model];
    const before = await first.ask();
    const secondBefore = await second.ask();
    box.shortages = 1;
    await third.ask();
    await box.told(/it has slept longest of all and ends: the machine's memory is short/);
    expect((await second.ask()).pid).toBe(secondBefore.pid);
    expect((await first.ask()).pid).not.toBe(before.pid);
  });

  test("one that min_containers asks for wakes for a call that comes after it was put to sleep", async () => {
    const box = new GpuBox(CARDS.slice(0, 1));
    const model = box.model("a", { ...SLEEPING, minContainers: 1 });
    const before = await model.ask();
    await box.model("b", ONE_GPU).ask();
    await box.told("a sleeps");
    expect((await model.ask()).pid).toBe(before.pid);
  });

  /** What the model `a` has done for Postern. */
  const requestsIn = (lines: readonly string[]) =>
    lines.filter((line) => /^a (begins|ends|sleeps|wakes)/.test(line));

  test("takes as many requests as the endpoint says, each after the answer to the one before", async () => {
    const box = new GpuBox(CARDS.slice(0, 1));
    const sleep = [post("/first?ms=200"), post("/sleep"), post("/last")];
    const wake = [post("/wake"), post("/weights?ms=200"), post("/cache")];
    const model = box.model("a", { ...SLEEPING, sleep, wake });
    await model.ask("/use");
    await box.model("b", SLEEPING).ask();
    const asleep = ["/first", "sleeps", "/last"];
    const awake = ["wakes", "/weights", "/cache"];
    await model.ask("/use");
    const done = ["/use", ...asleep, ...awake, "/use"].flatMap((what) =>
      what.startsWith("/") ? [`a begins ${what}`, `a ends ${what}`] : [`a ${what}`],
    );
    await expect.poll(() => requestsIn(box.lines), PATIENCE).toEqual(done);
  });

  test.each([
    ["can't sleep stops instead", "sleep", /it can't sleep, and stops instead: sleep\[1\], /],
    ["does not wake is started anew", "wake", /it does not wake: wake\[1\], /],
  ] as const)("one that %s, and hears of no further request", async (_, key, said) => {
    const box = new GpuBox(CARDS.slice(0, 1));
    const requests = [post(`/${key}`), post("/bad?fails"), post("/never")];
    const model = box.model("a", { ...SLEEPING, [key]: requests });
    const before = await model.ask();
    await box.model("b", SLEEPING).ask();
    expect((await model.ask()).pid).not.toBe(before.pid);
    await box.told(new RegExp(`${said.source}POST /bad\\?fails, was answered 500`));
    expect(box.lines).not.toContain("a begins /never");
  });
});

describe("a new version of a model", () => {
  test("takes the GPU of the serving one when that has finished its calls", async () => {
    const box = new GpuBox(CARDS.slice(0, 1));
    const old = box.model("a", ONE_GPU);
    const slow = old.ask("/slow?ms=1000");
    await box.told("a begins /slow");
    const next = box.model("a-next", { ...ONE_GPU, isProved: false, isPrepared: true });
    await next.endpoint.ready;
    expect((await slow).name).toBe("a");
    next.endpoint.unpin();
    expect((await next.ask()).name).toBe("a-next");
    expect(box.hasRunOutOfMemory).toBe(false);
  });

  test("overlaps with it where there is a second GPU", async () => {
    const box = new GpuBox(CARDS);
    const old = box.model("a", ONE_GPU);
    const before = await old.ask();
    const next = box.model("a-next", { ...ONE_GPU, isProved: false, isPrepared: true });
    await next.endpoint.ready;
    expect(await old.ask()).toEqual(before);
  });

  test("leaves the old one's sleeping container to the calls of its sessions", async () => {
    const box = new GpuBox(CARDS.slice(0, 1));
    const affinity: EndpointConfig["affinity"] = { rules: ["header:x-session"], mode: "hard" };
    const old = box.model("a", { ...SLEEPING, affinity, exitGracePeriod: 20 });
    const session = "header:x-session=1";
    const before = old.open("/", { session });
    expect(await before.outcome).toBe(200);
    const other = box.model("b", ONE_GPU).ask("/slow?ms=500");
    await box.told("b begins /slow");
    expect(old.states.at(-1)).toBe("asleep");
    const waiting = old.open("/", { session });
    void old.endpoint.retire(() => undefined, true);
    const next = old.open("/", { session });
    expect([await waiting.outcome, await next.outcome]).toEqual([200, 200]);
    expect([waiting.container, next.container]).toEqual([before.container, before.container]);
    expect((await other).name).toBe("b");
    expect(box.hasRunOutOfMemory).toBe(false);
  });

  test("that fails leaves the GPU to the old one, whose calls have waited", async () => {
    const box = new GpuBox(CARDS.slice(0, 1));
    const old = box.model("a", ONE_GPU);
    await old.ask();
    const next = box.model("a-next", {
      ...ONE_GPU,
      isProved: false,
      isPrepared: true,
      memoryGib: 90,
      loadMs: 200,
    });
    const waiting = old.ask();
    await expect(next.endpoint.ready).rejects.toThrow();
    await next.endpoint.close();
    expect((await waiting).name).toBe("a");
  });

  test("that fails leaves the GPU to the old one, which starts again though nobody calls", async () => {
    const box = new GpuBox(CARDS.slice(0, 1));
    const old = box.model("a", ONE_GPU);
    await old.ask();
    const traits = { isProved: false, isPrepared: true, memoryGib: 90 };
    const next = box.model("a-next", { ...ONE_GPU, ...traits });
    await expect(next.endpoint.ready).rejects.toThrow();
    await next.endpoint.close();
    expect(old.endpoint.activity).toMatchObject({ ready: 0, starting: 0 });
    old.endpoint.onVersionAbandoned();
    await expect.poll(() => old.endpoint.activity.ready, PATIENCE).toBe(1);
    expect(box.hasRunOutOfMemory).toBe(true);
  });

  test("that fails leaves the GPU to the endpoint that had it, not to one that made room in its own deployment", async () => {
    const box = new GpuBox(CARDS.slice(0, 1));
    const traits = { ...ONE_GPU, isProved: false, isPrepared: true };
    const serving = ["a", "b"].map((name) => box.model(name, traits));
    await Promise.all(serving.map(async ({ endpoint }) => await endpoint.ready));
    for (const { endpoint } of serving) endpoint.unpin();
    expect(serving.map(({ endpoint }) => endpoint.activity.ready)).toEqual([0, 1]);
    const next = box.model("a-next", { ...traits, memoryGib: 90 });
    await expect(next.endpoint.ready).rejects.toThrow();
    await next.endpoint.close();
    for (const { endpoint } of serving) endpoint.onVersionAbandoned();
    await expect.poll(() => serving.map(({ endpoint }) => endpoint.activity.ready)).toEqual([0, 1]);
  });
});

test("a container whose GPU is taken out is replaced on another one", async () => {
  const box = new GpuBox(CARDS);
  const model = box.model("a", { ...ONE_GPU, minContainers: 1 });
  expect((await model.ask()).cards).toEqual(["0"]);
  box.claims.setCards(CARDS.slice(1));
  await box.told(/its GPU was taken out/);
  expect((await model.ask()).cards).toEqual(["1"]);
});

describe("an endpoint whose only GPU is taken out", () => {
  const LOST = CARDS.slice(0, 1).map((card) => Object.assign({ problem: "it is hot" }, card));
  const WHY = "it can't start for now: its card 0 (H100) was taken out: it is hot";

  test("keeps the callers that wait, and who comes, until the GPU is back, and says why", async () => {
    const box = new GpuBox(CARDS.slice(0, 1));
    const model = box.model("a", { ...ONE_GPU, maxInputs: 1, targetInputs: 1 });
    await model.ask();
    const busy = model.ask("/slow?ms=1000");
    await box.told("a begins /slow");
    const waiting = Array.from({ length: 3 }, async () => await model.ask());
    const watched = model.open("/");
    expect(watched.standing?.()?.etaMs).toBeGreaterThanOrEqual(0);
    box.claims.setCards(LOST);
    // Nothing says when the card is back.
    expect(watched.standing?.()).toEqual({ position: 3, etaMs: undefined, isStarting: true });
    expect((await busy).name).toBe("a");
    await box.told(/its card 0 .* was taken out: it is hot/);
    expect(watched.standing?.()).toEqual({ position: 3, etaMs: undefined, isStarting: true });
    const later = model.ask();
    expect(model.endpoint.activity).toMatchObject({ ready: 0, waiting: 5, error: WHY });
    box.claims.setCards(CARDS.slice(0, 1));
    const answers = await Promise.all([...waiting, later]);
    expect(await watched.outcome).toBe(200);
    expect(answers.map(({ name }) => name)).toEqual(["a", "a", "a", "a"]);
    expect(model.endpoint.activity.error).toBe("");
    expect(box.lines.filter((line) => line.includes(WHY))).toHaveLength(1);
  });

  test("fails to prove a version there, and its callers hear why after three starts", async () => {
    const box = new GpuBox(CARDS.slice(0, 1));
    box.claims.setCards(LOST);
    const model = box.model("a", { ...ONE_GPU, isProved: false });
    const call = model.open("/");
    await expect(model.endpoint.ready).rejects.toThrow(WHY);
    expect([await call.outcome, call.detail]).toEqual(["starting_failed", WHY]);
  });
});
