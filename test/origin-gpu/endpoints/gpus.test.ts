/** Endpoints that share the GPUs of a box. Their containers are real processes; a GPU is a directory with a size. */
import { fileURLToPath } from "node:url";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { GIB } from "../../../base/units.ts";
import type { EndpointConfig } from "../../../origin-gpu/config/config.ts";
import { Box } from "../../../origin-gpu/core/box.ts";
import type { Card } from "../../../origin-gpu/core/cards.ts";
import type { Rollout } from "../../../origin-gpu/core/claims.ts";
import {
  StartFailure,
  type UsedPython,
  type UsePython,
} from "../../../origin-gpu/containers/container.ts";
import { SessionTable } from "../../../origin-gpu/core/session-table.ts";
import { BoxClaims } from "../../../origin-gpu/endpoints/box-claims.ts";
import { Endpoint } from "../../../origin-gpu/endpoints/endpoint.ts";
import type { GatewayAddress } from "../../../origin-gpu/link/gateway-address.ts";
import { temporaryDirectory } from "../../support/temporary.ts";
import { endpointConfig, listening, plainPython } from "../containers/endpoint.ts";
import { open, PATIENCE, StandInCall } from "./stand-in-call.ts";

const SERVER = fileURLToPath(new URL("../../support/apps/gpu-server.ts", import.meta.url));
const LIMITS = { residencyMs: 0, patienceMs: 300, mostPatienceMs: 2_000 };
const CARDS: readonly Card[] = ["0", "1"].map((id) => ({
  id,
  name: "H100",
  memoryBytes: 80 * GIB,
}));
const ONE_GPU = { gpus: [{ count: 1 }] };

interface Told {
  readonly name: string;
  readonly pid: number;
  readonly cards: readonly string[];
  readonly loads: number;
}

interface ModelTraits extends Partial<EndpointConfig> {
  readonly rollout?: Rollout;
  readonly isProved?: boolean;
  /** It is a new version that is being prepared. */
  readonly isPrepared?: boolean;
  readonly memoryGib?: number;
  readonly loadMs?: number;
  readonly usePython?: UsePython;
}

/** A box of these cards. */
class GpuBox {
  readonly claims: BoxClaims;
  /** How often the machine's memory will be found short. */
  shortages = 0;
  readonly lines: string[] = [];
  readonly #directory = temporaryDirectory();

  constructor(cards: readonly Card[]) {
    this.claims = new BoxClaims(new Box(cards, LIMITS), () => this.shortages-- > 0);
  }

  model(name: string, traits: ModelTraits = {}): Model {
    const { isProved = true, isPrepared = false, memoryGib = 80, loadMs = 0 } = traits;
    const { usePython = plainPython, ...more } = traits;
    const env = {
      CARDS: this.#directory,
      NAME: name,
      MEMORY: String(memoryGib),
      LOAD_MS: String(loadMs),
    };
    const kind = { type: "web_server", command: ["node", SERVER] } as const;
    const [functionName = name] = name.split("-");
    const settings = endpointConfig({ kind, env, function: functionName, maxInputs: 4, ...more });
    const endpoint = new Endpoint({
      settings,
      gateway: {} as GatewayAddress,
      bodies: undefined,
      claims: this.claims,
      identity: {
        app: "main/models",
        functionName,
        version: 1,
        rollout: isPrepared ? settings.rollout : undefined,
      },
      isProved,
      sessions: new SessionTable(),
      environment: {},
      usePython,
      ...listening((line) => this.lines.push(line)),
    });
    onTestFinished(() => endpoint.close());
    return new Model(endpoint, settings);
  }

  /** Waits for a line of the log. */
  async told(line: string | RegExp): Promise<void> {
    await vi.waitFor(() => {
      expect(this.lines).toContainEqual(expect.stringMatching(line));
    }, PATIENCE);
  }

  get hasRunOutOfMemory(): boolean {
    return this.lines.some((line) => line.includes("CUDA out of memory"));
  }
}

class Model {
  readonly endpoint: Endpoint;
  readonly #settings: EndpointConfig;

  constructor(endpoint: Endpoint, settings: EndpointConfig) {
    this.endpoint = endpoint;
    this.#settings = settings;
  }

  async ask(target = "/"): Promise<Told> {
    const call = open(this.endpoint, this.#settings, new StandInCall(target));
    expect([await call.outcome, call.detail]).toEqual([200, ""]);
    return JSON.parse(call.text) as Told;
  }
}

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
    const call = open(
      other.endpoint,
      endpointConfig({ kind: { type: "upstream", url: "" } }),
      new StandInCall("/"),
    );
    call.fail({ code: "client_closed", detail: "" });
    await slow;
    expect(box.lines.filter((line) => /makes room|b loads/.test(line))).toEqual([]);
  });
});

test("two GPUs serve two endpoints at once, each with its own", async () => {
  const box = new GpuBox(CARDS);
  const models = ["a", "b"].map((name) => box.model(name, ONE_GPU));
  const [first, second] = await Promise.all(models.map((model) => model.ask()));
  expect(new Set([first?.cards.join(), second?.cards.join()])).toEqual(new Set(["0", "1"]));
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
  const call = open(
    model.endpoint,
    endpointConfig({ kind: { type: "upstream", url: "" } }),
    new StandInCall("/"),
  );
  expect(await call.outcome).toBe("starting_failed");
  await expect(model.endpoint.ready).rejects.toThrow("this box has not 2 × H100");
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
    const call = open(model.endpoint, endpointConfig({ kind }), new StandInCall("/"));
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
  const sleeping = {
    ...ONE_GPU,
    sleep: [{ method: "POST", path: "/sleep", headers: {} }],
    wake: [{ method: "POST", path: "/wake", headers: {} }],
  } as const;

  test("a model sleeps instead of ending, and wakes with its process", async () => {
    const box = new GpuBox(CARDS.slice(0, 1));
    const [first, second] = ["a", "b"].map((name) => box.model(name, sleeping)) as [Model, Model];
    const before = await first.ask();
    await second.ask();
    await box.told("a sleeps");
    expect(await first.ask()).toEqual({ ...before, loads: 2 });
    await box.told("b sleeps");
    expect(box.hasRunOutOfMemory).toBe(false);
  });

  test("of several that sleep the one that has slept longest ends when the machine's memory is short", async () => {
    const box = new GpuBox(CARDS.slice(0, 1));
    const models = ["a", "b", "c"].map((name) => box.model(name, sleeping));
    const [first, second, third] = models as [Model, Model, Model];
    const before = await first.ask();
    const secondBefore = await second.ask();
    box.shortages = 1;
    await third.ask();
    await box.told(/it has slept longest of all and ends: the machine's memory is short/);
    expect((await second.ask()).pid).toBe(secondBefore.pid);
    expect((await first.ask()).pid).not.toBe(before.pid);
  });

  test("one that can't sleep stops instead", async () => {
    const box = new GpuBox(CARDS.slice(0, 1));
    const sleep = [{ method: "POST", path: "/sleep?fails", headers: {} }] as const;
    const first = box.model("a", { ...sleeping, sleep });
    const second = box.model("b", sleeping);
    const before = await first.ask();
    await second.ask();
    await box.told(
      /can't sleep, and stops instead: sleep\[0\], POST \/sleep\?fails, was answered 500/,
    );
    expect((await first.ask()).pid).not.toBe(before.pid);
  });

  test("one that does not wake is started anew", async () => {
    const box = new GpuBox(CARDS.slice(0, 1));
    const wake = [{ method: "POST", path: "/wake?fails", headers: {} }] as const;
    const first = box.model("a", { ...sleeping, wake });
    const second = box.model("b", sleeping);
    const before = await first.ask();
    await second.ask();
    const after = await first.ask();
    expect(after.pid).not.toBe(before.pid);
    await box.told(/it does not wake: wake\[0\], POST \/wake\?fails/);
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
});

test("a container whose GPU is taken out is replaced on another one", async () => {
  const box = new GpuBox(CARDS);
  const model = box.model("a", { ...ONE_GPU, minContainers: 1 });
  expect((await model.ask()).cards).toEqual(["0"]);
  box.claims.setCards(CARDS.slice(1));
  await box.told(/its GPU was taken out/);
  expect((await model.ask()).cards).toEqual(["1"]);
});
