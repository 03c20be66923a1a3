/** A function with parameters: pools of its own per set of values, with real processes. */
import { describe, expect, onTestFinished, test } from "vitest";

import { Box } from "../../../origin-gpu/core/box.ts";
import type { Parameters } from "../../../origin-gpu/core/parameters.ts";
import { SessionTable } from "../../../origin-gpu/core/session-table.ts";
import type { EndpointConfig } from "../../../origin-gpu/config/config.ts";
import { BoxClaims } from "../../../origin-gpu/endpoints/box-claims.ts";
import type { Endpoint } from "../../../origin-gpu/endpoints/endpoint.ts";
import {
  ParameterPools,
  type ParameterPoolsOptions,
} from "../../../origin-gpu/endpoints/parameter-pools.ts";
import {
  type LeasedPool,
  NO_TERMS,
  type PoolTerms,
} from "../../../origin-gpu/endpoints/pool-terms.ts";
import type { GatewayAddress } from "../../../origin-gpu/link/gateway-address.ts";
import { endpointConfig, listening, plainPython } from "../containers/endpoint.ts";
import { open as openAt, PATIENCE, StandInCall } from "./stand-in-call.ts";

/**
 * Answers with its values and its process; never where the path is /held. After /reload it takes no connection for a
 * while. A broken model does not load.
 */
const SERVER = `
  if (process.env.POSTERN_PARAMETERS.includes("broken")) process.exit(1);
  const server = require("node:http").createServer(({ url }, response) => {
    const answer = JSON.stringify([JSON.parse(process.env.POSTERN_PARAMETERS), process.pid]);
    if (url.startsWith("/reload")) {
      response.setHeader("connection", "close");
      server.close();
      setTimeout(listen, 1_500);
    }
    if (!url.startsWith("/held")) response.end(answer);
  });
  const listen = () => server.listen(process.env.PORT, "127.0.0.1");
  listen();
`;
const PARAMETERS: Parameters = { model: { type: "str", default: "small" } };

const settings = (more: Partial<EndpointConfig> = {}) =>
  endpointConfig({
    kind: { type: "web_server", command: ["node", "-e", SERVER] },
    maxInputs: 2,
    parameters: PARAMETERS,
    ...more,
  });

function poolsOf(config: EndpointConfig, more: Partial<ParameterPoolsOptions> = {}) {
  const pools = new ParameterPools({
    settings: config,
    parameters: config.parameters ?? PARAMETERS,
    gateway: {} as GatewayAddress,
    bodies: undefined,
    claims: new BoxClaims(new Box()),
    identity: { app: "main/shop", functionName: "web", version: 1, rollout: undefined },
    isProved: true,
    sessionsOf: () => new SessionTable(),
    environment: {},
    usePython: plainPython,
    ...listening(() => undefined),
    ...more,
  });
  onTestFinished(async () => await pools.close());
  const open = (target: string, how = {}) =>
    openAt(pools as unknown as Endpoint, config, new StandInCall(target, how));
  const ask = async (target: string) => {
    const call = open(target);
    expect(await call.outcome).toBe(200);
    return JSON.parse(call.text) as [values: unknown, pid: number];
  };
  return { pools, open, ask };
}

describe("requests", () => {
  test("with the same values have the same container, which has these values", async () => {
    const { ask, pools } = poolsOf(settings());
    const [values, small] = await ask("/?model=small&other=1");
    expect(values).toEqual({ model: "small" });
    expect(await ask("/")).toEqual([{ model: "small" }, small]);
    const [other, large] = await ask("/?model=large");
    expect(other).toEqual({ model: "large" });
    expect(large).not.toBe(small);
    const listed = pools.containers.map(({ parameters }) => parameters);
    expect(listed).toEqual(['{"model":"small"}', '{"model":"large"}']);
    expect(pools.containers).toHaveLength(2);
    expect(pools.activity).toMatchObject({ ready: 2, waiting: 0 });
  });

  test("without values that they need are refused", async () => {
    const { open, pools } = poolsOf(settings({ parameters: { model: { type: "str" } } }));
    const call = open("/");
    expect(await call.outcome).toBe("parameter_missing");
    expect(call.detail).toBe("the query parameter model is required");
    expect(pools.containers).toEqual([]);
  });
});

test("a request is told what its own set has, before the set begins too", async () => {
  const { ask, open, pools } = poolsOf(settings({ parameters: { model: { type: "str" } } }));
  const nothing = { activity: { ready: 0 }, load: { running: 0, room: 0 } };
  expect(pools.select("/?model=a")).toMatchObject({ value: nothing });
  expect(pools.select("/")).toMatchObject({ error: { code: "parameter_missing" } });
  expect(pools.containers).toEqual([]);
  await ask("/?model=a");
  open("/held?model=a");
  expect(pools.select("/?model=a")).toMatchObject({
    value: { activity: { ready: 1 }, load: { running: 1, room: 1 } },
  });
  expect(pools.select("/?model=b")).toMatchObject({ value: nothing });
});

describe("a set of values", () => {
  test("that nobody asks for has no container, whatever min_containers says", async () => {
    const { ask, pools } = poolsOf(settings({ minContainers: 1, maxContainers: 2 }));
    await pools.ready;
    expect(pools.containers).toEqual([]);
    pools.rescale({ min_containers: 2 });
    expect(pools.containers).toEqual([]);
    await ask("/");
    await expect.poll(() => pools.activity.ready, PATIENCE).toBe(2);
  });

  test("of defaults alone shows that a new version starts", async () => {
    const { pools } = poolsOf(settings(), { isProved: false });
    await pools.ready;
    expect(pools.activity).toMatchObject({ ready: 1 });
    const broken = settings({ kind: { type: "web_server", command: ["false"] } });
    await expect(poolsOf(broken, { isProved: false }).pools.ready).rejects.toThrow();
  });

  test("that nobody can have by default shows nothing", async () => {
    const config = settings({ parameters: { model: { type: "str" } } });
    const { pools } = poolsOf(config, { isProved: false });
    await pools.ready;
    expect(pools.containers).toEqual([]);
  });

  test("that was used least recently and has no call makes room for another", async () => {
    const { ask, open, pools } = poolsOf(settings(), { mostSets: 2 });
    const held = open("/held?model=a");
    await ask("/?model=a");
    const [, idle] = await ask("/?model=b");
    await ask("/?model=a");
    await ask("/?model=c");
    await expect.poll(() => isAlive(idle), PATIENCE).toBe(false);
    await expect.poll(() => pools.containers.length, PATIENCE).toBe(2);
    // Both have calls now.
    open("/held?model=c");
    expect(pools.load.room).toBe(2);
    const refused = open("/?model=d");
    expect(await refused.outcome).toBe("queue_full");
    expect(refused.detail).toBe("test works for 2 sets of parameters, as many as it may");
    expect(held.over).toBe(false);
    // The gateway hears of it before the call begins, and may ask another box.
    expect(pools.select("/?model=d")).toMatchObject({
      error: { code: "queue_full", retryAfter: 1 },
    });
    // A client that was told that its call goes on was counted when the call came.
    const promised = open("/?model=e", { isPromised: true });
    expect(await promised.outcome).toBe(200);
  });

  test("makes room for none while an accepted call waits for its app to take connections", async () => {
    const { ask, open } = poolsOf(settings(), { mostSets: 1 });
    await ask("/reload?model=a");
    const accepted = open("/?model=a", { isPromised: true });
    await expect.poll(() => accepted.withdrawn, PATIENCE).toBe(1);
    expect(await open("/?model=b").outcome).toBe("queue_full");
    expect(await accepted.outcome).toBe(200);
    await ask("/?model=b");
  });

  test("whose class fails is refused at once, and the others are served", async () => {
    const { ask, open } = poolsOf(settings({ startupTimeout: 600 }));
    const broken = open("/?model=broken");
    expect(await ask("/?model=a")).toMatchObject([{ model: "a" }, expect.any(Number)]);
    expect(await broken.outcome).toBe("starting_failed");
  });

  test("by which a version shows that it starts makes room for none meanwhile", async () => {
    const { ask, open, pools } = poolsOf(settings(), { isProved: false, mostSets: 1 });
    expect(await open("/?model=a").outcome).toBe("queue_full");
    await pools.ready;
    expect(await ask("/?model=a")).toMatchObject([{ model: "a" }, expect.any(Number)]);
  });
});

describe("a set that other boxes may have too", () => {
  /** The gateway: what it is told, and what it gives each set by the order in which they begin. */
  function gateway(...given: Partial<PoolTerms>[]) {
    const members: { digest: string; pool: LeasedPool; left: boolean }[] = [];
    const joinLeases: ParameterPoolsOptions["joinLeases"] = (pool, digest) => {
      const member = { digest, pool, left: false };
      members.push(member);
      return { changed: () => undefined, leave: () => (member.left = true) };
    };
    const answer = (at: number) => {
      members[at]?.pool.onTerms({ ...NO_TERMS, mayStart: true, ...given[at] });
    };
    return { members, joinLeases, answer };
  }

  test("has a share of its own by its digest, until it ends here", async () => {
    const { members, joinLeases, answer } = gateway({ most: 1 }, { most: 1 });
    const { ask, pools } = poolsOf(settings(), { joinLeases, mostSets: 1 });
    const asking = ask("/?model=a");
    expect(pools.containers).toEqual([]);
    expect(members[0]?.pool.needs()).toMatchObject({ needs: 1, has: 0, max: 1 });
    answer(0);
    await asking;
    expect(members[0]?.pool.needs()).toMatchObject({ has: 1, proved: true });
    void ask("/?model=b");
    await expect.poll(() => members[0]?.left, PATIENCE).toBe(true);
    answer(1);
    expect(members.map(({ left }) => left)).toEqual([true, false]);
    const [one, other] = members.map(({ digest }) => digest);
    expect(one).toMatch(/^[\w-]{43}$/);
    expect(other).not.toBe(one);
  });

  test("is asked for before a call is taken, which goes to the box that has it", async () => {
    const { members, joinLeases, answer } = gateway({ elsewhere: true }, { most: 1 });
    const { pools, ask } = poolsOf(settings({ minContainers: 1 }), { joinLeases });
    const decided = pools.decide("/?model=a");
    expect(pools.decide("/?model=a")).toBe(decided);
    // Nobody has got it here yet.
    expect(members[0]?.pool.needs()).toMatchObject({ min: 0, needs: 1 });
    answer(0);
    await decided;
    expect(pools.decide("/?model=a")).toBeUndefined();
    expect(pools.select("/?model=a")).toMatchObject({ value: { isElsewhere: true } });
    expect(pools.select("/?model=b")).toMatchObject({ value: { isElsewhere: false } });
    expect(pools.decide("/?wrong=%zz&model=a&model=b")).toBeUndefined();
    const asking = ask("/?model=b");
    answer(1);
    await asking;
    expect(pools.isElsewhere).toBe(false);
  });

  test("makes room before one that has containers here", async () => {
    const { members, joinLeases, answer } = gateway({ most: 1 }, { elsewhere: true }, { most: 1 });
    const { pools, ask } = poolsOf(settings(), { joinLeases, mostSets: 2 });
    const asking = ask("/?model=a");
    answer(0);
    const [, pid] = await asking;
    void pools.decide("/?model=b");
    answer(1);
    const next = ask("/?model=c");
    answer(2);
    await next;
    expect(isAlive(pid)).toBe(true);
    await expect.poll(() => members.map(({ left }) => left)).toEqual([false, true, false]);
  });
});

test("a version that retires gives calls that wait, and sets that it does not have, to the next one", async () => {
  const { open, ask, pools } = poolsOf(settings({ maxInputs: 1, exitGracePeriod: 1 }));
  await ask("/?model=a");
  open("/held?model=a");
  const waiting = open("/?model=a");
  const rerouted: unknown[] = [];
  const retired = pools.retire((call) => void rerouted.push(call), false);
  expect(rerouted).toEqual([waiting]);
  const late = open("/?model=new");
  expect(rerouted).toEqual([waiting, late]);
  await retired;
  expect(pools.containers).toEqual([]);
});

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
