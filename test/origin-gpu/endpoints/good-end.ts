/** The end of a history in which all goes well: what waits is served, and a box that nobody uses comes to rest. */
import { demand } from "../core/pool-refusal-rules.ts";
import { KEYS, pick } from "./box-history.ts";
import { CARDS, LIMITS, type PooledBox } from "./box-world.ts";

/** How long each thing takes while all goes well. */
const TIMES_MS = {
  starts: 2_000,
  wakes: 1_000,
  "falls asleep": 500,
  ends: 500,
  serves: Infinity,
  sleeps: Infinity,
};
const CALL_MS = 1_000;
const ROUND_MS = 500;

/** From now on each start succeeds, each call is answered and each process ends. */
function beginsWell(world: PooledBox): void {
  world.setCards(CARDS);
  world.shortages = 0;
  world.isWell = true;
  for (const one of world.endpoints) {
    const { minContainers, maxContainers } = one.settings;
    one.servedAtMs = world.nowMs;
    one.change({ mayStart: true, maxContainers: Math.max(1, minContainers, maxContainers) });
  }
}

function playOn(world: PooledBox): void {
  const { nowMs } = world;
  for (const { containers } of world.versions) {
    for (const number of containers.pythons.keys()) containers.finishPython(number, true);
    for (const { number, phase, sinceMs } of containers.all.values()) {
      if (nowMs >= sinceMs + TIMES_MS[phase]) containers.step(number, true);
    }
  }
  for (const call of world.calls) {
    if (nowMs >= call.assignedAtMs + CALL_MS) call.version.finish(call);
  }
}

const REST_ROUND_MS = 5_000;
const REST_MS = 150_000;
const BUSY_MS = 100_000;

/** A call is answered, its container has ended, and what starts with it or behind it has been ready for a while. */
const SETTLE_MS = 60_000;

/** An idle container ends and another one loads, each noticed at the end of a round. */
const IDLE_MS = TIMES_MS["falls asleep"] + TIMES_MS.starts + 4 * ROUND_MS;

/** The pause after starts that failed, and the grace of a version that was replaced. */
const PAUSES_MS = 75_000;

/** The longest turn, request and load, and the end of the container before, each noticed at the end of a round. */
const TURN_MS =
  LIMITS.mostPatienceMs + CALL_MS + TIMES_MS.starts + TIMES_MS["falls asleep"] + 4 * ROUND_MS;

/** With n in line a request waits n turns at most: endpoints, and containers that sleep (docs/gpus.md). */
function boundOf({ endpoints }: PooledBox): number {
  const sleepers = endpoints.filter(({ settings }) => settings.canSleep);
  const inLine = sleepers.reduce((sum, { settings }) => sum + settings.maxContainers, 0);
  return (endpoints.length + inLine) * TURN_MS;
}

/** All that waits is served. */
export async function serves(world: PooledBox): Promise<void> {
  beginsWell(world);
  await playOut(world, boundOf(world) + PAUSES_MS);
}

/** One endpoint always has more calls than it can serve, and the others some. */
export async function servesAllInTurns(world: PooledBox, busyMs = BUSY_MS): Promise<void> {
  const untilMs = world.nowMs + busyMs;
  for (let round = 0; world.nowMs < untilMs; round++) {
    world.endpoints[0]?.arrive({ key: pick(KEYS, round) });
    if (round % 8 === 0) {
      for (const one of world.endpoints.slice(1)) one.arrive({ key: pick(KEYS, round >>> 3) });
    }
    await playRound(world, boundOf(world));
    for (const { longestWaitMs } of world.endpoints.slice(1)) {
      demand(longestWaitMs <= boundOf(world), "each call of an endpoint with few is served");
    }
  }
  await playOut(world, boundOf(world));
}

async function playOut(world: PooledBox, boundMs: number): Promise<void> {
  while (world.calls.some(({ container }) => container === undefined)) {
    await playRound(world, boundMs);
  }
}

/** @param boundMs so long no endpoint has calls that wait without serving one of them */
async function playRound(world: PooledBox, boundMs: number): Promise<void> {
  playOn(world);
  await world.pass(ROUND_MS);
  for (const { waitedMs } of world.endpoints) {
    demand(waitedMs <= boundMs, "each endpoint has its turn");
  }
}

/** Nobody uses the box any more. */
export async function rests(world: PooledBox): Promise<void> {
  await playFor(world, REST_MS);
  for (const { serving, candidate, settings, traits } of world.endpoints) {
    if (candidate !== undefined) demand(candidate.rollout === "overlap", "a new version comes");
    const phases = serving?.phases ?? [];
    const ready = phases.filter((phase) => phase === "serves").length;
    demand(ready <= settings.minContainers, "what is not needed ends");
    // A container that sleeps wakes on its own cards.
    const sleeps = phases.includes("sleeps");
    const isShort = serving !== undefined && !sleeps && ready < settings.minContainers;
    demand(!isShort || !world.hasRoomFor(traits.needs), "min_containers are there where they fit");
  }
  for (const one of world.endpoints) one.abandon();
  await playFor(world, SETTLE_MS);
  for (const one of world.endpoints) {
    one.arrive({});
    // What others have and do not use is free at once.
    await playOut(world, IDLE_MS);
    await playFor(world, SETTLE_MS);
  }
  for (const one of world.endpoints) one.change({ minContainers: 0 });
  await playFor(world, REST_MS);
  demand(
    world.held.every(({ container }) => container.phase === "sleeps"),
    "a pool without a minimum comes down to nothing",
  );
  demand(world.isFree, "claims of what has ended are free");
}

async function playFor(world: PooledBox, ms: number): Promise<void> {
  const untilMs = world.nowMs + ms;
  while (world.nowMs < untilMs) {
    playOn(world);
    await world.pass(REST_ROUND_MS);
  }
}
