/** Models that have a GPU, and die or stay when they should not. Their containers are real processes. */
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { isAlive, parentsOf, signalAll } from "../../support/processes.ts";
import { CARDS, GpuBox, type Model, ONE_GPU, SLEEPING } from "./gpu-box.ts";
import { PATIENCE } from "./stand-in-call.ts";

/** Two models that have one GPU in turns. */
function pair(traits: Parameters<GpuBox["model"]>[1]): {
  box: GpuBox;
  first: Model;
  second: Model;
} {
  const box = new GpuBox(CARDS.slice(0, 1));
  return { box, first: box.model("a", traits), second: box.model("b", ONE_GPU) };
}

/** The last states of a model's containers; the next line of the test may come before the last of them. */
async function endedWith(model: Model, ...states: Model["states"]): Promise<void> {
  await expect.poll(() => model.states.slice(-states.length), PATIENCE).toEqual(states);
}

describe("a model that dies", () => {
  test("before it has made room leaves its GPU to the one that waits, and its call fails", async () => {
    const { box, first, second } = pair(ONE_GPU);
    const { pid } = await first.ask();
    const slow = first.open("/slow?ms=60000", { method: "POST" });
    await box.told("a begins /slow");
    const waiting = second.ask();
    await box.told(/another container waits for its GPU/);
    expect(first.states.at(-1)).toBe("draining");
    process.kill(pid, "SIGKILL");
    expect(await slow.outcome).toBe("origin_error");
    expect((await waiting).name).toBe("b");
    await endedWith(first, "draining", "stopping", "gone");
    expect(first.endpoint.containers).toEqual([]);
    expect((await first.ask()).pid).not.toBe(pid);
    expect(box.hasRunOutOfMemory).toBe(false);
  });

  test("in its sleep is started anew when it is called", async () => {
    const { box, first, second } = pair(SLEEPING);
    const before = await first.ask();
    const other = await second.ask();
    expect(first.states.at(-1)).toBe("asleep");
    process.kill(before.pid, "SIGKILL");
    await endedWith(first, "asleep", "gone");
    expect(first.endpoint.containers).toEqual([]);
    expect(await second.ask()).toEqual(other);
    expect(await first.ask()).toMatchObject({ name: "a", loads: 1 });
    expect(box.hasRunOutOfMemory).toBe(false);
  });

  test("while it falls asleep leaves its GPU to the one that waits", async () => {
    const sleep = [{ method: "POST", path: "/sleep?dies", headers: {} }] as const;
    const { box, first, second } = pair({ ...SLEEPING, sleep });
    const before = await first.ask();
    expect((await second.ask()).name).toBe("b");
    await endedWith(first, "draining", "stopping", "gone");
    expect((await first.ask()).pid).not.toBe(before.pid);
    expect(box.hasRunOutOfMemory).toBe(false);
  });

  test("while it wakes is started anew for the call that waits", async () => {
    const wake = [{ method: "POST", path: "/wake?dies", headers: {} }] as const;
    const { box, first, second } = pair({ ...SLEEPING, wake });
    const before = await first.ask();
    await second.ask();
    expect((await first.ask()).pid).not.toBe(before.pid);
    await box.told(/it does not wake: wake\[0\], POST \/wake\?dies, got no answer/);
    // Its connection breaks before its exit is told, or after.
    const woken = first.states.slice(first.states.indexOf("asleep"));
    const others = woken.filter((state) => state !== "stopping");
    expect(others.slice(0, 4)).toEqual(["asleep", "starting", "gone", "preparing"]);
    expect(box.hasRunOutOfMemory).toBe(false);
  });
});

test("a model that answers nothing while it falls asleep is not taken for hung", async () => {
  const sleep = ["/block?ms=1500", "/sleep"].map((path) => {
    return { method: "POST", path, headers: {} } as const;
  });
  const watched = { healthPath: "/", healthInterval: 0.1 };
  const { box, first, second } = pair({ ...SLEEPING, sleep, ...watched });
  const before = await first.ask();
  await second.ask();
  await endedWith(first, "draining", "asleep");
  expect(await first.ask()).toEqual({ ...before, loads: 2 });
  expect(box.lines.join()).not.toContain("hung");
});

describe("a model that stays when it is to make room", () => {
  test("is killed after exit_grace_period, and then another one has its GPU", async () => {
    const traits = { ...ONE_GPU, ignoresSigterm: true, exitGracePeriod: 0.5 };
    const { box, first, second } = pair(traits);
    const { pid } = await first.ask();
    expect((await second.ask()).name).toBe("b");
    expect(isAlive(pid)).toBe(false);
    const swap = box.moves.slice(box.moves.indexOf("a draining"));
    expect(swap.slice(0, 4)).toEqual(["a draining", "a stopping", "a gone", "b preparing"]);
    expect(box.hasRunOutOfMemory).toBe(false);
  });

  test("and that SIGKILL does not end keeps its GPU until it is gone", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"], shouldAdvanceTime: true });
    onTestFinished(() => void vi.useRealTimers());
    const { box, first, second } = pair({ ...ONE_GPU, exitGracePeriod: 0 });
    const { pid } = await first.ask();
    const supervisors = parentsOf(pid).slice(0, 2);
    signalAll(supervisors, "SIGSTOP");
    onTestFinished(() => signalAll(supervisors, "SIGCONT"));
    const waiting = second.ask();
    await vi.waitFor(() => {
      vi.advanceTimersByTime(1_000);
      expect(first.states.at(-1)).toBe("stuck");
    }, PATIENCE);
    await box.told(/it survived SIGKILL/);
    expect(first.endpoint.containers).toMatchObject([{ state: "stuck", cards: [{ id: "0" }] }]);
    const error =
      "a container survived SIGKILL; what it holds is not given to others until it is gone";
    expect(first.endpoint.activity).toMatchObject({ stuck: 1, draining: 0, failed: 0, error });
    expect(second.endpoint.containers).toMatchObject([{ state: "claiming", cards: [] }]);
    signalAll(supervisors, "SIGCONT");
    expect((await waiting).name).toBe("b");
    expect(isAlive(pid)).toBe(false);
    expect(first.states.slice(-2)).toEqual(["stuck", "gone"]);
    expect(box.hasRunOutOfMemory).toBe(false);
  });
});
