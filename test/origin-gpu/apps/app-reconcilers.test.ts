import { describe, expect, test } from "vitest";

import { Observer, textSink } from "../../../base/observer.ts";
import type { PreparationNews } from "../../../origin-gpu/apps/app-runtime.ts";
import { AppReconcilers } from "../../../origin-gpu/apps/app-reconcilers.ts";
import type { VersionedApp } from "../../../origin-gpu/apps/app-reconciler.ts";
import type { ScalingByFunction } from "../../../origin-gpu/apps/app-version.ts";
import { StartFailure } from "../../../origin-gpu/containers/container.ts";
import type { AssignedApp, AssignedVersion, BoxReport } from "../../../routing/wire/deployments.ts";
import { ManualTimers } from "./manual-timers.ts";

const CODE = (version: number) => String(version).repeat(64);

function version(number: number, more: Partial<AssignedVersion> = {}): AssignedVersion {
  const code = { hash: CODE(number), bytes: 1 };
  const content = { config: {}, code, endpoints: [] };
  return { version: number, content, urls: {}, secrets: {}, ...more };
}

function app(desired: { serving?: number; candidate?: number }, id = "ap-1"): AssignedApp {
  const { serving, candidate } = desired;
  return {
    id,
    environment: "main",
    app: "speech",
    token: "",
    ...(serving === undefined ? {} : { serving: version(serving) }),
    ...(candidate === undefined ? {} : { candidate: version(candidate) }),
  };
}

/** A box without containers and a gateway that says what the test says. */
class Box {
  readonly timers = new ManualTimers();
  readonly lines: string[] = [];
  /** What was done with the app's versions. */
  readonly events: string[] = [];
  desired: AssignedApp[] = [];
  unreachable = false;
  announced = false;
  last: BoxReport = { versions: [], code: [] };
  retained: { hashes: string[]; owners: string[] } = { hashes: [], owners: [] };
  /** The owners of each time. */
  readonly retainedOwners: string[][] = [];
  /** The version that is being started: the test says how that ends. */
  starting: PromiseWithResolvers<void> | undefined;
  removing = Promise.withResolvers<void>();
  switching = Promise.withResolvers<void>();
  readonly #noted = new Set<string>();
  readonly assigned = new AppReconcilers({
    apps: { take: () => this.#app, remove: async () => await this.#remove() },
    controlPlane: {
      assignments: async () => {
        if (this.unreachable) throw new Error("no route");
        return { apps: this.desired };
      },
      report: async (report) => {
        if (this.unreachable) throw new Error("no route");
        this.last = report;
      },
    },
    load: async ({ app: name, environment }, { version: number }, onState) => {
      onState("preparing");
      const endpoints = [] as const;
      const identity = {
        app: name,
        environment,
        box: "b",
        region: "",
        token: "",
        urls: {},
        reachableUrls: {},
      };
      const description = { ...identity, version: number, logName: "", endpoints };
      return { description, release: () => this.events.push(`release ${number}`) };
    },
    code: {
      list: () => [...this.#noted],
      retain: async ({ hashes, owners }) => {
        this.retained = { hashes: [...new Set(hashes)], owners: [...owners] };
        this.retainedOwners.push([...owners]);
      },
    },
    history: this.#history(),
    isAnnounced: () => this.announced,
    later: this.timers.later,
    observer: new Observer({
      sinks: [
        textSink(
          (line) => this.lines.push(line),
          () => "",
        ),
      ],
      now: Date.now,
    }),
  });

  /** Tells what there is to say of the version that is being prepared. */
  tellNews: ((news: PreparationNews) => void) | undefined;
  hasClaims = false;
  /** As the version that serves here was told last. */
  scaling: ScalingByFunction = {};

  /** What is reported, as `v2 ready`. */
  get states(): string[] {
    return this.last.versions.map(({ version: number, state }) => `v${number} ${state}`);
  }

  /** The gateway says what is wanted, and the box does what it can. */
  async told(...desired: AssignedApp[]): Promise<void> {
    this.desired = desired;
    this.assigned.refresh();
    await settled();
  }

  async started(): Promise<void> {
    this.starting?.resolve();
    await settled();
  }

  async failed(error: Error = new StartFailure("starting_failed", "it died", ["last line"])) {
    this.starting?.reject(error);
    await settled();
  }

  readonly #app: VersionedApp = {
    begin: async ({ version: number }) => await this.#start(`begin ${number}`),
    prepare: async ({ version: number }, onNews) => {
      this.tellNews = onNews;
      await this.#start(`prepare ${number}`);
      return { hasClaims: this.hasClaims };
    },
    switchTo: async () => {
      this.events.push("switch");
      await this.switching.promise;
    },
    abandon: async () => {
      this.events.push("abandon");
      this.starting?.reject(new StartFailure("starting_failed", "superseded"));
    },
    rescale: (scaling) => {
      this.scaling = scaling;
    },
  };

  async #start(event: string): Promise<void> {
    this.events.push(event);
    this.starting = Promise.withResolvers();
    await this.starting.promise;
  }

  async #remove(): Promise<void> {
    this.events.push("remove");
    await this.removing.promise;
  }

  #history() {
    const noted = this.#noted;
    return {
      get hashes() {
        return [...noted];
      },
      note: async (now: ReadonlyMap<string, readonly string[]>) => {
        for (const hash of [...now.values()].flat()) noted.add(hash);
      },
    };
  }
}

async function settled(): Promise<void> {
  for (let turn = 0; turn < 5; turn += 1) await new Promise(setImmediate);
}

/** A box that serves this version. */
async function serving(number: number): Promise<Box> {
  const box = new Box();
  await box.told(app({ serving: number }));
  await box.started();
  expect(box.states).toEqual([`v${number} serving`]);
  box.events.length = 0;
  return box;
}

describe("an app that is assigned to a box", () => {
  test("serves at once where nothing else does, and says so when it is ready", async () => {
    const box = new Box();
    await box.told(app({ serving: 1 }));
    expect(box.events).toEqual(["begin 1"]);
    expect(box.states).toEqual(["v1 starting"]);
    await box.started();
    expect(box.states).toEqual(["v1 serving"]);
    expect(box.events).toEqual(["begin 1", "release 1"]);
  });

  test("gets its first version as a candidate, which serves when the gateway says so", async () => {
    const box = new Box();
    await box.told(app({ candidate: 1 }));
    expect(box.events).toEqual(["prepare 1"]);
    await box.started();
    expect(box.states).toEqual(["v1 ready"]);
    await box.told(app({ serving: 1 }));
    expect(box.events).toEqual(["prepare 1", "release 1", "switch"]);
    expect(box.states).toEqual(["v1 serving"]);
  });

  test("is told the same again and does nothing", async () => {
    const box = await serving(1);
    await box.told(app({ serving: 1, candidate: 2 }));
    await box.told(app({ serving: 1, candidate: 2 }));
    await box.started();
    await box.told(app({ serving: 1, candidate: 2 }));
    expect(box.events).toEqual(["prepare 2", "release 2"]);
    expect(box.states).toEqual(["v1 serving", "v2 ready"]);
  });

  test("says whether a candidate with GPUs overlaps with the version that serves, or takes its place", async () => {
    const box = await serving(1);
    box.hasClaims = true;
    await box.told(app({ serving: 1, candidate: 2 }));
    await box.started();
    const detail = "both versions have room on the box beside each other";
    expect(box.last.versions.at(-1)).toMatchObject({ version: 2, state: "ready", detail });
    // Who asks a moment later still hears it.
    await box.told(app({ serving: 2 }));
    expect(box.last.versions.at(-1)).toMatchObject({ version: 2, state: "serving", detail });
    await box.told(app({ serving: 2, candidate: 3 }));
    box.tellNews?.("made");
    await settled();
    expect(box.last.versions.at(-1)).toMatchObject({
      version: 3,
      state: "starting",
      detail: "the version that serves finishes its calls and makes room",
    });
    await box.started();
    expect(box.last.versions.at(-1)).toMatchObject({ version: 3, state: "ready", detail: "" });
  });

  test("says that a candidate waits for room which the version that serves does not make", async () => {
    const box = await serving(1);
    box.hasClaims = true;
    await box.told(app({ serving: 1, candidate: 2 }));
    box.tellNews?.("awaited");
    await settled();
    expect(box.last.versions.at(-1)).toMatchObject({
      version: 2,
      state: "starting",
      detail:
        'it waits for room beside the version that serves, which makes none: rollout = "overlap"',
    });
    await box.started();
    const detail = "both versions have room on the box beside each other";
    expect(box.last.versions.at(-1)).toMatchObject({ version: 2, state: "ready", detail });
  });

  test("says why a candidate may not become ready, while it starts", async () => {
    const box = new Box();
    await box.told(app({ candidate: 1 }));
    const doubt = "web: warning: it listens elsewhere";
    box.tellNews?.({ doubt });
    await settled();
    expect(box.last.versions).toMatchObject([{ version: 1, state: "starting", detail: doubt }]);
    await box.started();
    // Of another one of its containers.
    box.tellNews?.({ doubt });
    await settled();
    expect(box.last.versions).toMatchObject([{ version: 1, state: "ready", detail: "" }]);
  });

  test("says of its first version nothing of another one that makes room", async () => {
    const box = new Box();
    box.hasClaims = true;
    await box.told(app({ candidate: 1 }));
    // Its endpoints take turns on the box's GPU.
    box.tellNews?.("made");
    await settled();
    expect(box.last.versions).toMatchObject([{ version: 1, state: "starting", detail: "" }]);
  });

  test("serves on while its candidate fails, which is told once with its last lines", async () => {
    const box = await serving(1);
    await box.told(app({ serving: 1, candidate: 2 }));
    await box.failed();
    expect(box.last.versions).toEqual([
      { app: "ap-1", version: 1, state: "serving", detail: "", lines: [] },
      { app: "ap-1", version: 2, state: "failed", detail: "it died", lines: ["last line"] },
    ]);
    await box.told(app({ serving: 1, candidate: 2 }));
    expect(box.events).toEqual(["prepare 2", "release 2"]);
    await box.told(app({ serving: 1 }));
    expect(box.states).toEqual(["v1 serving"]);
  });

  test("drops a candidate for a newer one, whatever becomes of the older", async () => {
    const box = await serving(1);
    await box.told(app({ serving: 1, candidate: 2 }));
    await box.told(app({ serving: 1, candidate: 3 }));
    expect(box.events.filter((event) => event.startsWith("prepare"))).toEqual([
      "prepare 2",
      "prepare 3",
    ]);
    await box.started();
    expect(box.states).toEqual(["v1 serving", "v3 ready"]);
  });

  test("drops a candidate that is not wanted any more", async () => {
    const box = await serving(1);
    await box.told(app({ serving: 1, candidate: 2 }));
    await box.told(app({ serving: 1 }));
    expect(box.events).toEqual(["prepare 2", "abandon", "release 2"]);
    expect(box.states).toEqual(["v1 serving"]);
  });

  test("gets what went live while it was away, before the next candidate", async () => {
    const box = await serving(1);
    await box.told(app({ serving: 2, candidate: 3 }));
    expect(box.events).toEqual(["prepare 2"]);
    await box.started();
    expect(box.events).toEqual(["prepare 2", "switch", "release 2", "prepare 3"]);
    expect(box.states).toEqual(["v2 serving", "v3 starting"]);
  });

  test("tries what serves elsewhere until it runs here too, later and later", async () => {
    const box = await serving(1);
    await box.told(app({ serving: 2 }));
    for (const delayMs of [10_000, 20_000]) {
      await box.failed();
      expect(box.states).toEqual(["v1 serving", "v2 failed"]);
      expect(box.timers.delays).toEqual([delayMs]);
      box.timers.fire();
      await settled();
    }
    await box.started();
    expect(box.states).toEqual(["v2 serving"]);
  });

  test("that cannot run here takes the next version, and is tried again where that fails", async () => {
    const box = new Box();
    await box.told(app({ serving: 1, candidate: 2 }));
    await box.failed();
    expect(box.states).toEqual(["v1 failed", "v2 starting"]);
    await box.failed();
    expect(box.states).toEqual(["v1 starting", "v2 failed"]);
    await box.failed();
    expect(box.timers.delays).toEqual([10_000]);
    // The next one comes while the retry is waited for.
    await box.told(app({ serving: 1, candidate: 3 }));
    expect(box.timers.delays).toEqual([]);
    await box.started();
    expect(box.states).toEqual(["v1 failed", "v3 ready"]);
    await box.told(app({ serving: 3 }));
    expect(box.states).toEqual(["v3 serving"]);
  });

  test("that did not start is tried again beside itself", async () => {
    const box = new Box();
    await box.told(app({ serving: 1 }));
    await box.failed();
    expect(box.states).toEqual(["v1 failed"]);
    expect(box.lines).toEqual(["postern: speech v1: it died"]);
    box.timers.fire();
    await settled();
    await box.started();
    expect(box.events).toEqual(["begin 1", "release 1", "prepare 1", "switch", "release 1"]);
    expect(box.states).toEqual(["v1 serving"]);
  });

  test("has other numbers of containers as soon as the gateway says so, and its own again", async () => {
    const box = await serving(1);
    const scaling = { web: { min_containers: 2 } };
    await box.told({ ...app({}), serving: version(1, { scaling }) });
    expect(box.scaling).toEqual(scaling);
    await box.told(app({ serving: 1 }));
    expect(box.scaling).toEqual({});
    expect(box.events).toEqual([]);
  });

  test("keeps its numbers of containers while the next version is on its way", async () => {
    const box = await serving(1);
    const scaling = { web: { max_containers: 7 } };
    await box.told({ ...app({}), serving: version(2, { scaling }) });
    expect(box.events).toEqual(["prepare 2"]);
    expect(box.scaling).toEqual({});
    await box.started();
    expect(box.states).toEqual(["v2 serving"]);
    expect(box.scaling).toEqual(scaling);
  });

  test("that was scaled while it was loaded begins with the numbers of that moment", async () => {
    const box = new Box();
    const scaling = { web: { min_containers: 3 } };
    await box.told({ ...app({}), serving: version(1, { scaling }) });
    expect(box.events).toEqual(["begin 1"]);
    expect(box.scaling).toEqual(scaling);
  });

  test("stops when it is not assigned any more", async () => {
    const box = await serving(1);
    await box.told();
    expect(box.events).toEqual(["remove"]);
    expect(box.states).toEqual([]);
  });

  test("is another app when only its name is the same", async () => {
    const box = await serving(1);
    await box.told(app({ serving: 1 }, "ap-2"));
    expect(box.events).toEqual(["remove", "begin 1"]);
    expect(box.last.versions).toMatchObject([{ app: "ap-2", version: 1 }]);
  });

  test("is not served beside one that the box brings along by that name", async () => {
    const box = new Box();
    box.announced = true;
    await box.told(app({ serving: 1 }));
    await box.told(app({ serving: 1 }));
    expect(box.events).toEqual([]);
    expect(box.lines).toEqual([expect.stringContaining("main/speech is deployed to this box")]);
  });
});

describe("the files of versions", () => {
  test("stay while their last calls finish, and the code of earlier ones longer", async () => {
    const box = await serving(1);
    await box.told(app({ serving: 1, candidate: 2 }));
    await box.started();
    await box.told(app({ serving: 2 }));
    expect(box.retained.owners).toEqual(["ap-1-v1", "ap-1-v2"]);
    box.switching.resolve();
    await settled();
    expect(box.retained).toEqual({ hashes: [CODE(1), CODE(2)], owners: ["ap-1-v2"] });
  });

  test("stay for all apps from the first assignments on: containers may run there already", async () => {
    const box = new Box();
    await box.told(app({ serving: 1 }), app({ serving: 1 }, "ap-2"));
    expect(box.retainedOwners.length).toBeGreaterThan(0);
    for (const owners of box.retainedOwners) expect(owners).toEqual(["ap-1-v1", "ap-2-v1"]);
  });

  test("stay until an app that was stopped has finished", async () => {
    const box = await serving(1);
    await box.told();
    expect(box.retained.owners).toEqual(["ap-1-v1"]);
    box.removing.resolve();
    await settled();
    expect(box.retained.owners).toEqual([]);
  });
});

describe("a gateway that is away", () => {
  test("is asked again, is said once, and hears everything when it is back", async () => {
    const box = await serving(1);
    box.unreachable = true;
    await box.told(app({ serving: 1, candidate: 2 }));
    box.timers.fire();
    await settled();
    expect(box.lines).toEqual(["postern: no assignments from the gateway: no route"]);
    box.unreachable = false;
    box.timers.fire();
    await settled();
    await box.started();
    expect(box.states).toEqual(["v1 serving", "v2 ready"]);
  });

  test("keeps nobody from beginning", async () => {
    const box = new Box();
    box.unreachable = true;
    box.assigned.refresh();
    await box.assigned.begun();
    expect(box.events).toEqual([]);
  });

  test("is waited for by nobody once its apps are started", async () => {
    const box = new Box();
    box.desired = [app({ serving: 1 })];
    box.assigned.refresh();
    await box.assigned.begun();
    expect(box.events).toEqual(["begin 1"]);
  });
});
