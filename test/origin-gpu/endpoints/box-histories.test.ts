/** Histories of pools that share a box which once broke a promise. The random ones of `box-model.test.ts` find such few times. */
import { expect, test } from "vitest";
import { GIB } from "../../../base/units.ts";
import type { ClaimNeeds } from "../../../origin-gpu/core/claims.ts";
import type { PoolSettings } from "../../../origin-gpu/core/pool-effects.ts";
import { SETTINGS } from "../core/pool-world.ts";
import { type BoxHistory, worldAfter } from "./box-history.ts";
import { serves, servesAllInTurns } from "./good-end.ts";

/** Long enough for many turns. */
const BUSY_MS = 300_000;

const ONE_GPU: ClaimNeeds = { gpus: [{ count: 1 }] };

function endpoint(
  name: string,
  needs: ClaimNeeds,
  some: Partial<PoolSettings> = {},
  makesPythons = false,
): BoxHistory["endpoints"][number] {
  const times = { scaledownWindowMs: 20_000, sessionGraceMs: 10_000, givesUpStarts: true };
  const one = { maxInputs: 1, targetInputs: 1, maxContainers: 1 };
  const settings = { ...SETTINGS, ...one, ...times, ...some };
  return { name, needs, settings, makesPythons };
}

const HISTORIES: Record<string, BoxHistory> = {
  "a session's sleeper is served while its pool's other container makes room again and again": {
    endpoints: [
      endpoint("both", { ...ONE_GPU, port: 8000 }, { sessionsMove: true }, true),
      endpoint("gpu", ONE_GPU, { minContainers: 2, maxContainers: 2, canSleep: true }),
    ],
    isBusy: true,
    steps: [
      [0, 0, 0],
      [0, 0, 0],
      [0, 0, 0],
      [6, 0, 0],
      [0, 0, 0],
      [0, 387453305, 0],
      [0, 0, 0],
      [6, 0, 0],
      [0, 0, 0],
      [6, 57513499, 1],
    ],
  },
  "nobody makes room for a call that has its place already": {
    endpoints: [
      endpoint(
        "small",
        { gpuMemoryBytes: 20 * GIB },
        { maxInputs: 2, minContainers: 2, maxContainers: 3, bufferContainers: 1, canSleep: true },
      ),
      endpoint("gpu", ONE_GPU),
      endpoint("large", { gpuMemoryBytes: 50 * GIB }),
    ],
    isBusy: true,
    steps: [
      [0, 0, 0],
      [0, 148010147, 0],
      [0, 1561665464, 0],
      [0, 480207845, 0],
      [6, 0, 1],
      [25, 0, 5],
      [0, 0, 0],
      [6, 0, 0],
      [0, 826404028, 0],
      [0, 0, 0],
    ],
  },
  "an open tab's container that sleeps is served where another one would stay by min_containers": {
    endpoints: [
      endpoint("gpu", ONE_GPU),
      endpoint("other", ONE_GPU),
      endpoint(
        "large",
        { gpuMemoryBytes: 50 * GIB },
        { minContainers: 2, maxContainers: 2, canSleep: true },
      ),
    ],
    isBusy: false,
    steps: [
      [0, 0, 0],
      [0, 1603808228, 0],
      [6, 0, 1],
      [19, 0, 2],
      [0, 1509868424, 0],
      [0, 0, 0],
      [0, 0, 0],
      [24, 1740061334, 7],
      [6, 0, 1],
      [0, 0, 0],
      [24, 1969553870, 5],
      [0, 0, 0],
      [0, 0, 0],
      [0, 0, 0],
      [0, 0, 0],
    ],
  },
};

test.each(Object.entries(HISTORIES))("%s", async (_, history) => {
  const world = await worldAfter(history);
  await serves(world);
  await servesAllInTurns(world, BUSY_MS);
  expect(world.calls.every(({ container }) => container !== undefined)).toBe(true);
});
