/** An endpoint's containers are real processes here: they come and go with its calls. */
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished, test, vi } from "vitest";
import type { Call } from "../../../origin-gpu/calls/call.ts";
import type { EndpointConfig } from "../../../origin-gpu/config/config.ts";
import { Box } from "../../../origin-gpu/core/box.ts";
import type { Rollout } from "../../../origin-gpu/core/claims.ts";
import { SessionTable } from "../../../origin-gpu/core/session-table.ts";
import { BoxClaims } from "../../../origin-gpu/endpoints/box-claims.ts";
import { PoolDriver } from "../../../origin-gpu/endpoints/pool-driver.ts";
import { claimNeeds, poolSettings } from "../../../origin-gpu/endpoints/pool-settings.ts";
import type { QueuedCall } from "../../../origin-gpu/endpoints/queued-call.ts";
import { freePort, temporaryDirectory } from "../../support/temporary.ts";
import { endpointConfig, listening, plainPython, serverEndpoint } from "../containers/endpoint.ts";

/** On a machine that does other things. */
const PATIENCE = { timeout: 30_000 };

interface PoolTraits {
  readonly claims?: BoxClaims;
  readonly isProved?: boolean;
  readonly rollout?: Rollout;
  readonly mostFailures?: number;
}

function poolOf(settings: EndpointConfig, traits: PoolTraits = {}) {
  const lines: string[] = [];
  const outcomes = new Map<string, string>();
  const pool = new PoolDriver({
    source: {
      settings,
      environment: {},
      usePython: plainPython,
      ...listening((line) => lines.push(line)),
    },
    settings: { ...poolSettings(settings), mostFailures: traits.mostFailures ?? Infinity },
    claims: traits.claims ?? new BoxClaims(new Box()),
    identity: { app: "main/shop", functionName: "web", version: 1, rollout: traits.rollout },
    needs: claimNeeds(settings),
    isProved: traits.isProved ?? false,
    sessions: new SessionTable(),
    left: [],
    onRoom: (news) => void lines.push(`room ${news}`),
    onStops: () => undefined,
    onDrains: () => undefined,
    onDrained: () => undefined,
    onAssigned: ({ call }, container) => outcomes.set(call.callId, container.address.origin),
    onRefused: ({ call }, { code }) => outcomes.set(call.callId, code),
    onHandedOver: ({ call }) => outcomes.set(call.callId, "handed over"),
  });
  onTestFinished(async () => await pool.close());
  /** A call of this name that waits or runs. */
  const request = (callId: string): QueuedCall => {
    const call = {
      callId,
      isPromised: false,
      head: {},
      whenSettled: () => undefined,
    };
    const queued: QueuedCall = {
      call: call as unknown as Call,
      settings,
      link: 0,
      arrivedAt: performance.now(),
      waitedElsewhere: false,
      container: undefined,
      unsent: 0,
    };
    pool.request(queued);
    return queued;
  };
  /** Where a call was sent, or why not. */
  const outcome = async (callId: string): Promise<string> =>
    await vi.waitFor(() => {
      const found = outcomes.get(callId);
      if (found === undefined) throw new Error(`${callId} still waits`);
      return found;
    }, PATIENCE);
  return { pool, lines, request, outcome, outcomes };
}

test("a container is started once, for all who wait and all who come later", async () => {
  const { lines, request, outcome } = poolOf(serverEndpoint([], { maxInputs: 3 }));
  request("a");
  request("b");
  const origin = await outcome("a");
  request("c");
  expect([await outcome("b"), await outcome("c")]).toEqual([origin, origin]);
  expect(lines.filter((line) => /^postern: ready after \d+\.\d s$/.test(line))).toHaveLength(1);
});

test("one that crashed is started again for the next call", async () => {
  const { pool, lines, request, outcome } = poolOf(serverEndpoint());
  const first = request("a");
  const origin = await outcome("a");
  await expect(fetch(`${origin}/crash`)).rejects.toThrow();
  await expect.poll(() => lines.at(-1), PATIENCE).toMatch(/ended by itself with code 7/);
  pool.finished(first, "completed");
  request("b");
  const again = await outcome("b");
  expect((await fetch(again)).status).toBe(200);
});

test("one that fails to start is not started for every call, and is when its time has come", async () => {
  const repaired = join(temporaryDirectory(), "repaired");
  const script = `echo broken; [ -e ${repaired} ] || exit 1; exec node -e 'require("node:http").createServer().listen(process.env.PORT, "127.0.0.1")'`;
  const kind = { type: "web_server", command: ["sh", "-c", script] } as const;
  const { pool, lines, request, outcome } = poolOf(endpointConfig({ kind }));
  await expect(pool.proved).rejects.toMatchObject({ code: "starting_failed" });
  request("a");
  request("b");
  expect([await outcome("a"), await outcome("b")]).toEqual(["starting_failed", "starting_failed"]);
  expect(lines.filter((line) => line === "broken")).toHaveLength(3);
  expect(pool.counts.failed).toBe(1);
  writeFileSync(repaired, "");
  expect(existsSync(repaired)).toBe(true);
  await vi.waitFor(() => {
    request("c");
    expect(pool.counts.starting).toBe(1);
  }, PATIENCE);
  await expect.poll(() => pool.counts.ready, PATIENCE).toBe(1);
});

test("one that fails again and again is a crash loop, and the log and the list say so", async () => {
  const settings = serverEndpoint(["--exit-at-start", "3"], { startupTimeout: 60 });
  const { pool, lines, request, outcome } = poolOf(settings, { isProved: true, mostFailures: 4 });
  request("a");
  expect(await outcome("a")).toBe("gave_up");
  const stories = lines.filter((line) => line.includes("failures in a row"));
  expect(stories).toEqual([
    "postern: crash loop, 3 failures in a row without a minute of service: the next start is at least 4 s away",
    "postern: given up after 4 failures in a row without a minute of service: change the app, or serve it anew",
  ]);
  expect(pool.currentFailure).toBe(
    "given up after 4 failures in a row: ended with code 3 before it was ready",
  );
  request("b");
  expect(await outcome("b")).toBe("gave_up");
}, 30_000);

test("a pool has as many as its calls need, and none when it was idle for scaledown_window", async () => {
  const settings = serverEndpoint([], { maxContainers: 2, scaledownWindow: 0.2 });
  const { pool, lines, request, outcome } = poolOf(settings, { isProved: true });
  expect(pool.counts).toMatchObject({ ready: 0, starting: 0 });
  const calls = [request("a"), request("b")];
  expect(await outcome("a")).not.toBe(await outcome("b"));
  for (const call of calls) pool.finished(call, "completed");
  await expect
    .poll(() => pool.counts, PATIENCE)
    .toMatchObject({ ready: 0, starting: 0, ending: 0 });
  expect(lines.filter((line) => line === "bye")).toHaveLength(2);
});

test("a new version takes over a fixed port, and gives it back where it fails", async () => {
  const port = await freePort();
  const claims = new BoxClaims(new Box());
  const old = poolOf(serverEndpoint([], { port }), { claims });
  const running = old.request("a");
  await old.outcome("a");
  const broken = poolOf(serverEndpoint(["--exit-at-start", "3"], { port }), {
    claims,
    rollout: "auto",
  });
  await expect.poll(() => old.pool.counts.ending, PATIENCE).toBe(1);
  old.request("b");
  expect(broken.lines).toEqual([]);
  expect(old.lines).toContain("room made");
  old.pool.finished(running, "completed");
  await expect(broken.pool.proved).rejects.toMatchObject({ code: "starting_failed" });
  await broken.pool.close();
  expect(await old.outcome("b")).toBe(`http://127.0.0.1:${port}`);
});

test("a new version that is given up while it waits for its port is known not to become ready", async () => {
  const port = await freePort();
  const claims = new BoxClaims(new Box());
  const old = poolOf(serverEndpoint([], { port }), { claims });
  old.request("a");
  const origin = await old.outcome("a");
  const { pool, lines } = poolOf(serverEndpoint([], { port }), { claims, rollout: "overlap" });
  expect(pool.counts.starting).toBe(1);
  await pool.close();
  await expect(pool.proved).rejects.toMatchObject({ code: "starting_failed" });
  expect(lines).toEqual([]);
  expect((await fetch(origin)).status).toBe(200);
});

test("a container that is stopped by hand while it starts is no failed start: another one shows that it works", async () => {
  const { pool } = poolOf(serverEndpoint());
  const [first] = pool.containers;
  expect(pool.stop(first?.id ?? "")).toBe(true);
  await pool.proved;
  expect(pool.containers.map(({ id }) => id)).not.toContain(first?.id);
});

test("after close nothing of it runs, and what waits has been handed over", async () => {
  const { pool, lines, request, outcome, outcomes } = poolOf(serverEndpoint());
  request("a");
  await outcome("a");
  request("b");
  await pool.close();
  expect(lines).toContain("bye");
  expect(outcomes.get("b")).toBe("handed over");
  request("c");
  expect(outcomes.get("c")).toBe("handed over");
  expect(pool.counts).toMatchObject({ ready: 0, starting: 0, ending: 0 });
});

test("its containers are listed from their claim on, and one that is stopped by hand finishes its calls", async () => {
  const { pool, request, outcome } = poolOf(serverEndpoint([], { maxContainers: 2 }));
  const calls = [request("a"), request("b")];
  await Promise.all([outcome("a"), outcome("b")]);
  const [first, second] = pool.containers;
  expect([first, second]).toMatchObject([
    { state: "ready", calls: 1, cards: [] },
    { state: "ready", calls: 1, cards: [] },
  ]);
  expect(first?.id).toMatch(/^ct-[0-9a-f]{16}$/);
  expect(pool.stop("ct-0000000000000000")).toBe(false);
  expect(pool.stop(first?.id ?? "")).toBe(true);
  expect(pool.counts).toMatchObject({ ready: 1, ending: 1 });
  for (const call of calls) pool.finished(call, "completed");
  await expect.poll(() => pool.containers.map(({ id }) => id), PATIENCE).toEqual([second?.id]);
});
