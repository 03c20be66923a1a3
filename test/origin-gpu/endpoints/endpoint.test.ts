/** One endpoint, from a call's place to its container. The app is a real server, and so is a process that dies. */
import { createServer, type Server, type ServerResponse } from "node:http";
import { type AddressInfo } from "node:net";
import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from "vitest";
import type { RecordedStart } from "../../../origin-gpu/calls/call.ts";
import type { EndpointConfig } from "../../../origin-gpu/config/config.ts";
import { TokenCalls } from "../../../origin-gpu/core/token-calls.ts";
import { endpointConfig, serverEndpoint } from "../containers/endpoint.ts";
import { endpointOf, open, PATIENCE, StandInCall } from "./stand-in-call.ts";

let server: Server;
/** Requests that the app has begun to work on, until a test lets it answer. */
let held: Map<string, ServerResponse>;

beforeEach(async () => {
  held = new Map();
  server = createServer(({ url = "" }, response) => void held.set(url, response));
  await listen(0);
});
afterEach(() => {
  server.closeAllConnections();
  server.close();
});

async function listen(port: number): Promise<void> {
  await new Promise<void>((resolve) => {
    server.listen(port, "127.0.0.1", resolve);
  });
}

function upstreamSettings(
  more: Partial<EndpointConfig> = {},
  { port } = server.address() as AddressInfo,
): EndpointConfig {
  return endpointConfig({ kind: { type: "upstream", url: `http://127.0.0.1:${port}` }, ...more });
}

/** Waits until the app works on this target. */
async function reached(target: string): Promise<ServerResponse> {
  return await vi.waitFor(() => {
    const response = held.get(target);
    if (response === undefined) throw new Error(`the app has not got ${target}`);
    return response;
  }, PATIENCE);
}

test.each([
  ["cancel", 0],
  ["keep", Infinity],
  [2.5, 2_500],
] as const)("on_disconnect = %s is a grace of %s ms", (onDisconnect, graceMs) => {
  const settings = upstreamSettings({ onDisconnect, resultTtl: 60 });
  const { endpoint } = endpointOf(settings);
  expect(endpoint.runner(settings, 0)).toMatchObject({ graceMs, resultTtlMs: 60_000 });
});

test("a call reaches the app in its turn, and its place is the next one's when it has ended", async () => {
  const settings = upstreamSettings({ maxInputs: 1 });
  const { endpoint } = endpointOf(settings);
  const first = open(endpoint, settings, new StandInCall("/first"));
  const second = open(endpoint, settings, new StandInCall("/second"));
  const third = open(endpoint, settings, new StandInCall("/third"));
  const response = await reached("/first");
  const standings = [first, second, third].map(({ standing }) => standing?.());
  expect(standings.map((standing) => standing?.position)).toEqual([0, 0, 1]);
  expect([...held.keys()]).toEqual(["/first"]);
  response.writeHead(201).end();
  expect(await first.outcome).toBe(201);
  (await reached("/second")).end();
  expect(await second.outcome).toBe(200);
  await reached("/third");
  // Two have been measured.
  expect(third.standing?.()?.etaMs).toBeGreaterThanOrEqual(0);
  expect(first.container).toBe(second.container);
});

test("a call that the app broke off says nothing of how long others take", async () => {
  const settings = upstreamSettings({ maxInputs: 1 });
  const { endpoint } = endpointOf(settings);
  const calls = ["/first", "/second", "/third", "/last"].map((target) =>
    open(endpoint, settings, new StandInCall(target)),
  );
  const [first, second, third, last] = calls;
  (await reached("/first")).destroy();
  expect(await first?.outcome).toBe("origin_error");
  const response = await reached("/second");
  expect(last?.standing?.()).toEqual({ position: 1, etaMs: undefined });
  response.end();
  expect(await second?.outcome).toBe(200);
  await reached("/third");
  expect(third?.standing?.()?.etaMs).toBeGreaterThanOrEqual(0);
});

describe("a container that does not take the call", () => {
  test("because it does not start fails it: nothing was sent, and the log has the reason", async () => {
    const settings = serverEndpoint(["--exit-at-start", "3"]);
    const { endpoint, lines } = endpointOf(settings);
    const call = open(endpoint, settings, new StandInCall("/"));
    expect(await call.outcome).toBe("starting_failed");
    expect(call.detail).not.toContain("code 3");
    expect(lines).toContain("postern: ended with code 3 before it was ready");
  });

  test("because it does not start fails no call whose client was told meanwhile that it goes on", async () => {
    const settings = serverEndpoint(["--exit-at-start", "3"]);
    const { endpoint, lines } = endpointOf(settings);
    const promised = open(endpoint, settings, new StandInCall("/promised"));
    promised.promise();
    const other = open(endpoint, settings, new StandInCall("/other"));
    expect(await other.outcome).toBe("starting_failed");
    // The next start is for the call that waits.
    const failedStarts = () => lines.filter((line) => line.includes("ended with code 3"));
    const before = failedStarts().length;
    await expect.poll(() => failedStarts().length, PATIENCE).toBe(before + 1);
    expect(promised.over).toBe(false);
    expect(endpoint.activity.waiting).toBe(1);
  });

  test("because it is about to end lets the next one have it", async () => {
    const settings = serverEndpoint();
    const { endpoint } = endpointOf(settings);
    const last = open(endpoint, settings, new StandInCall("/leave"));
    expect(await last.outcome).toBe(200);
    const next = open(endpoint, settings, new StandInCall("/"));
    expect(await next.outcome).toBe(200);
    expect(next.container).not.toBe(last.container);
  });

  test("because it accepts no connections fails it", async () => {
    const settings = upstreamSettings();
    const { endpoint } = endpointOf(settings);
    server.close();
    const call = open(endpoint, settings, new StandInCall("/"));
    expect(await call.outcome).toBe("origin_error");
    expect(call.withdrawn).toBe(1);
    expect(call.detail).toBe("the app accepts no connections");
  });

  test("and one that its client was promised waits until it is taken", async () => {
    const address = server.address() as AddressInfo;
    const settings = upstreamSettings();
    const { endpoint } = endpointOf(settings);
    server.close();
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    onTestFinished(() => void vi.useRealTimers());
    const call = open(endpoint, settings, new StandInCall("/", { isPromised: true }));
    // The connections are real, and so is the time that they take.
    const ticking = { interval: 20, timeout: 10_000 };
    await vi.waitFor(() => {
      vi.advanceTimersByTime(500);
      expect(call.withdrawn).toBeGreaterThan(0);
    }, ticking);
    expect(call.over).toBe(false);
    await listen(address.port);
    await vi.waitFor(() => {
      vi.advanceTimersByTime(500);
      held.get("/")?.end();
      expect(call.over).toBe(true);
    }, ticking);
    expect(await call.outcome).toBe(200);
  });
});

test("a call that pauses, since it could not be sent, goes to the successor of a retired endpoint at once", async () => {
  const settings = upstreamSettings();
  const { endpoint } = endpointOf(settings);
  server.close();
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  onTestFinished(() => void vi.useRealTimers());
  const call = open(endpoint, settings, new StandInCall("/", { isPromised: true }));
  // The connection is real. The time of pauses stands still.
  await vi.waitFor(
    () => {
      vi.advanceTimersByTime(100);
      expect(call.withdrawn).toBe(1);
    },
    { interval: 20, timeout: 15_000 },
  );
  const rerouted: string[] = [];
  await endpoint.retire(({ callId }) => void rerouted.push(callId), false);
  expect(rerouted).toEqual(["/"]);
});

test("a call that ends while it pauses counts among those of its token no longer", async () => {
  const { port } = server.address() as AddressInfo;
  const settings = upstreamSettings();
  const { endpoint } = endpointOf(settings, { tokenCalls: new TokenCalls() });
  const caller = { token: "t", most: 1 };
  server.close();
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  onTestFinished(() => void vi.useRealTimers());
  const call = open(endpoint, settings, new StandInCall("/", { isPromised: true, caller }));
  // The connection is real. The time of pauses stands still.
  await vi.waitFor(
    () => {
      vi.advanceTimersByTime(100);
      expect(call.withdrawn).toBe(1);
    },
    { interval: 20, timeout: 15_000 },
  );
  call.fail({ code: "call_lost", detail: "a user cancelled the call" });
  vi.useRealTimers();
  await listen(port);
  const next = open(endpoint, settings, new StandInCall("/next", { caller }));
  expect(next.over).toBe(false);
  (await reached("/next")).end();
  expect(await next.outcome).toBe(200);
});

test("a call whose start finds no room on the disk lets others have its place, and begins later", async () => {
  const settings = upstreamSettings({ maxInputs: 1 });
  const { endpoint } = endpointOf(settings);
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  onTestFinished(() => void vi.useRealTimers());
  const call = new StandInCall("/", { isPromised: true });
  let isDiskFull = true;
  const recorded = vi.fn(
    async (): Promise<RecordedStart> => await Promise.resolve(isDiskFull ? "no_room" : "recorded"),
  );
  call.recordStart = recorded;
  open(endpoint, settings, call);
  const other = open(endpoint, settings, new StandInCall("/other"));
  (await reached("/other")).end();
  expect(await other.outcome).toBe(200);
  expect(call.over).toBe(false);
  expect(recorded).toHaveBeenCalled();
  isDiskFull = false;
  await vi.waitFor(
    () => {
      vi.advanceTimersByTime(1_000);
      held.get("/")?.end();
      expect(call.over).toBe(true);
    },
    { interval: 20, timeout: 10_000 },
  );
  expect(await call.outcome).toBe(200);
});

test("a full queue refuses who comes, not a call whose client was told meanwhile that it goes on", async () => {
  const settings = upstreamSettings({ maxInputs: 1, maxPending: 1 });
  const { endpoint } = endpointOf(settings);
  const of = (target: string, token: string, batch: boolean) =>
    open(endpoint, settings, new StandInCall(target, { caller: { token, batch } }));
  const running = of("/running", "nightly", true);
  const response = await reached("/running");
  const promised = of("/promised", "nightly", true);
  promised.promise();
  const other = of("/other", "chat", false);
  expect(await other.outcome).toBe("queue_full");
  response.end();
  expect(await running.outcome).toBe(200);
  (await reached("/promised")).end();
  expect(await promised.outcome).toBe(200);
});

test("a retired endpoint ends what runs after its grace, and gives what waits to its successor", async () => {
  const settings = upstreamSettings({ maxInputs: 1, exitGracePeriod: 0.05 });
  const { endpoint } = endpointOf(settings);
  const running = open(endpoint, settings, new StandInCall("/running"));
  await reached("/running");
  const guest = { ...settings, function: "second-name" };
  const waiting = new StandInCall("/waiting");
  endpoint.runner(guest, 1).run(waiting.asCall);
  const rerouted: unknown[] = [];
  await endpoint.retire((...call) => rerouted.push(call), true);
  expect(rerouted).toEqual([[waiting, "second-name", 1]]);
  expect(waiting.over).toBe(false);
  expect(await running.outcome).toBe("origin_error");
  expect([...held.keys()]).toEqual(["/running"]);
});

test("a session's call that begins in the grace of a retired endpoint has one of its own", async () => {
  const settings = upstreamSettings({ exitGracePeriod: 600 });
  const { endpoint } = endpointOf(settings);
  const sessionCall = (target: string) =>
    open(endpoint, settings, new StandInCall(target, { session: "s" }));
  const early = sessionCall("/early");
  (await reached("/early")).end();
  expect(await early.outcome).toBe(200);

  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  onTestFinished(() => void vi.useRealTimers());
  const rerouted: string[] = [];
  const retired = endpoint.retire(({ callId }) => void rerouted.push(callId), true);
  const late = sessionCall("/late");
  const response = await reached("/late");
  await vi.advanceTimersByTimeAsync(600_000);
  sessionCall("/next");
  expect(rerouted).toEqual(["/next"]);
  response.end();
  expect(await late.outcome).toBe(200);
  await retired;
});

test("a call that another version had waits here without being looked after again", async () => {
  const settings = upstreamSettings({ maxInputs: 1 });
  const { endpoint } = endpointOf(settings);
  const running = open(endpoint, settings, new StandInCall("/running"));
  const taken = new StandInCall("/taken");
  const park = vi.spyOn(taken, "park");
  endpoint.takeOver(taken.asCall, settings, 0);
  (await reached("/running")).end();
  expect(await running.outcome).toBe(200);
  (await reached("/taken")).end();
  expect(await taken.outcome).toBe(200);
  expect(park).not.toHaveBeenCalled();
});

test("calls that waited at another version or an earlier agent are let in where no new one may wait", async () => {
  const settings = upstreamSettings({ maxInputs: 1, maxPending: 0 });
  const { endpoint } = endpointOf(settings);
  open(endpoint, settings, new StandInCall("/running"));
  const running = await reached("/running");
  expect(await open(endpoint, settings, new StandInCall("/new")).outcome).toBe("queue_full");
  const taken = new StandInCall("/taken");
  endpoint.takeOver(taken.asCall, settings, 0);
  const restored = open(endpoint, settings, new StandInCall("/restored", { isRestored: true }));
  running.end();
  (await reached("/taken")).end();
  (await reached("/restored")).end();
  expect([await taken.outcome, await restored.outcome]).toEqual([200, 200]);
});

test("a call that another version had is before one that came here, and later", async () => {
  const settings = upstreamSettings({ maxInputs: 1 });
  const { endpoint: old } = endpointOf(settings);
  const { endpoint: next } = endpointOf(settings);
  open(old, settings, new StandInCall("/old"));
  const waiting = open(old, settings, new StandInCall("/waiting"));
  const running = open(next, settings, new StandInCall("/running"));
  const young = open(next, settings, new StandInCall("/young"));
  (await reached("/old")).end();
  const retired = old.retire((call, _name, link) => next.takeOver(call, settings, link), false);
  expect([waiting, young].map((call) => call.standing?.()?.position)).toEqual([0, 1]);
  (await reached("/running")).end();
  expect(await running.outcome).toBe(200);
  (await reached("/waiting")).end();
  expect(held.has("/young")).toBe(false);
  expect(await waiting.outcome).toBe(200);
  (await reached("/young")).end();
  expect(await young.outcome).toBe(200);
  await retired;
});

test("an endpoint that is rescaled starts what its new minimum demands", async () => {
  const settings = serverEndpoint();
  const { endpoint } = endpointOf(settings);
  await endpoint.ready;
  endpoint.rescale({ min_containers: 2, max_containers: 2 });
  await expect.poll(() => endpoint.activity.ready, PATIENCE).toBe(2);
  expect(endpoint.containers).toHaveLength(2);
  const [one] = endpoint.containers;
  expect(endpoint.stopContainer(one?.id ?? "")).toBe(true);
});
