/** Random histories of a box with several pools: their settings, and what happens to them. */
import fc from "fast-check";
import { GIB } from "../../../base/units.ts";
import type { ClaimNeeds, Rollout } from "../../../origin-gpu/core/claims.ts";
import type { PoolSettings } from "../../../origin-gpu/core/pool-effects.ts";
import { SETTINGS } from "../core/pool-world.ts";
import { CARDS, PooledBox } from "./box-world.ts";
import type { PlayedEndpoint } from "./played-endpoint.ts";
import type { EndpointTraits } from "./played-version.ts";

const NEEDS: Readonly<Record<string, ClaimNeeds>> = {
  gpu: { gpus: [{ count: 1 }] },
  other: { gpus: [{ count: 1 }] },
  two: { gpus: [{ count: 2 }] },
  small: { gpuMemoryBytes: 20 * GIB },
  large: { gpuMemoryBytes: 50 * GIB },
  port: { port: 8000 },
  both: { gpus: [{ count: 1 }], port: 8000 },
  none: {},
};

const ROLLOUTS: readonly Rollout[] = ["auto", "overlap", "replace"];

const settings: fc.Arbitrary<PoolSettings> = fc
  .record({
    maxInputs: fc.integer({ min: 1, max: 2 }),
    minContainers: fc.constantFrom(0, 0, 1, 2),
    extraContainers: fc.integer({ min: 0, max: 2 }),
    bufferContainers: fc.constantFrom(0, 0, 1),
    canSleep: fc.boolean(),
    sessionsMove: fc.boolean(),
  })
  .map(({ extraContainers, ...some }) =>
    Object.assign({}, SETTINGS, some, {
      maxContainers: Math.max(1, some.minContainers + extraContainers),
      scaledownWindowMs: 20_000,
      sessionGraceMs: 10_000,
      givesUpStarts: true,
    }),
  );

const endpoint: fc.Arbitrary<EndpointTraits> = fc
  .record({
    name: fc.constantFrom(...Object.keys(NEEDS)),
    settings,
    makesPythons: fc.constantFrom(false, false, true),
  })
  .map((traits) => Object.assign(traits, { needs: NEEDS[traits.name] ?? {} }));

type Step = [kind: number, choice: number, luck: number];

const step: fc.Arbitrary<Step> = fc.tuple(fc.integer({ min: 0, max: 29 }), fc.nat(), fc.nat(7));

export function historyOf(maxLength: number) {
  return fc.record({
    endpoints: fc.uniqueArray(endpoint, {
      minLength: 2,
      maxLength: 4,
      selector: ({ name }) => name,
    }),
    /** New calls come while all goes well. */
    isBusy: fc.constantFrom(false, false, false, true),
    steps: fc.array(step, { minLength: 10, maxLength, size: "max" }),
  });
}

export type BoxHistory =
  ReturnType<typeof historyOf> extends fc.Arbitrary<infer Value> ? Value : never;

export async function worldAfter({ endpoints, steps }: BoxHistory): Promise<PooledBox> {
  const world = new PooledBox(endpoints);
  await world.pass(0);
  for (const each of steps) await take(world, each);
  return world;
}

/** More than half of the calls belong to no session. */
export const KEYS = [undefined, undefined, undefined, "session_hash=a", "session_hash=b"];

const PASSES_MS = [100, 500, 1_000, 1_000, 3_000, 5_000, 15_000, 61_000];

async function take(world: PooledBox, each: Step): Promise<void> {
  const [kind, choice, luck] = each;
  const one = pick(world.endpoints, choice);
  if (kind <= 5) {
    const key = KEYS[(choice >>> 3) % KEYS.length];
    one?.arrive({ key, isPassive: luck === 0, isAccepted: luck <= 2 });
  } else if (kind <= 14) stepOne(world, choice, luck > 0);
  else if (kind <= 18) {
    const call = pick(
      world.calls.filter(({ container }) => container !== undefined),
      choice,
    );
    call?.version.finish(call);
  } else if (kind <= 20) {
    await world.pass(PASSES_MS[luck] ?? 0);
  } else if (kind === 21) {
    const call = pick(world.calls, choice);
    if (call !== undefined && luck < 5) call.version.finish(call);
    else if (call?.container !== undefined) call.version.requeue(call);
  } else if (kind <= 23) interfere(world, choice, luck);
  else if (kind === 24) {
    if (one !== undefined) changeOne(one, choice >>> 3, luck);
  } else if (kind === 25) {
    world.setCards(luck < 5 ? CARDS : CARDS.filter((_, index) => index !== choice % 2));
  } else if (kind === 26) {
    if (luck < 5) one?.deploy(ROLLOUTS[luck % 3] ?? "auto");
    else if (luck === 5) one?.abandon();
    else if (luck === 6) one?.remove();
  } else if (kind === 27 && luck < 3) {
    world.shortages = 1;
    world.watchMemory();
  } else if (one !== undefined) one.reruns = luck < 4;
  await world.pass(0);
}

export function pick<Item>(among: readonly Item[], choice: number): Item | undefined {
  return among[choice % Math.max(1, among.length)];
}

/** What was asked of some container comes to its end. */
function stepOne(world: PooledBox, choice: number, isGood: boolean): void {
  const steps = world.versions.flatMap(({ containers }) => [
    ...[...containers.pythons.keys()].map(
      (number) => () => containers.finishPython(number, isGood),
    ),
    ...[...containers.all.values()]
      .filter(({ phase }) => phase !== "serves" && phase !== "sleeps")
      .map(
        ({ number }) =>
          () =>
            containers.step(number, isGood),
      ),
  ]);
  pick(steps, choice)?.();
}

/** Something happens to a container that its pool did not ask for. */
function interfere(world: PooledBox, choice: number, luck: number): void {
  const held = pick(world.held, choice);
  if (held === undefined) return;
  const { containers, driver } = held.version;
  const { number, id } = held.container;
  if (luck <= 2) containers.end(number);
  else if (luck === 3) containers.hang(number);
  else if (luck === 4) containers.askToDrain(number);
  else if (luck === 5) driver.stop(id);
  else if (luck === 6) driver.replace(id);
  else driver.assumeProved();
}

/** As `postern app scale`, or another share of the pool says. */
function changeOne(one: PlayedEndpoint, choice: number, luck: number): void {
  const maxContainers = luck % 4;
  const minContainers = Math.min(maxContainers, choice % 3);
  if (luck < 6) one.change({ minContainers, maxContainers });
  else one.change({ mayStart: luck === 6, bufferContainers: choice % 2 });
}
