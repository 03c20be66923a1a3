/** When a call that ended gives its place back. */
import { expect, test, vi } from "vitest";
import type { Call } from "../../../origin-gpu/calls/call.ts";
import type { Lease } from "../../../origin-gpu/containers/pool.ts";
import { Grace } from "../../../origin-gpu/endpoints/grace.ts";
import type { QueuedCall } from "../../../origin-gpu/endpoints/queued-call.ts";
import { endpointConfig } from "../containers/endpoint.ts";

function calling(gaveUp: Promise<void>, exited: Promise<unknown> = new Promise(() => undefined)) {
  const released: string[] = [];
  const stuck: string[] = [];
  const closing = new AbortController();
  const settings = endpointConfig({ kind: { type: "web_server", command: ["app"] } });
  const grace = new Grace({
    settings,
    closing: closing.signal,
    onStuck: (containerId, callId, afterS) => stuck.push(`${containerId} ${callId} ${afterS}`),
  });
  const lease = {
    containerId: "container",
    exited,
    gaveUp: async () => await gaveUp,
    release: () => released.push("lease"),
  };
  const queued = {
    call: { callId: "call" } as Call,
    lease: lease as unknown as Lease,
    permit: { release: () => released.push("permit") },
  } as unknown as QueuedCall;
  return { grace, queued, released, stuck, closing, settings };
}

const never = new Promise<void>(() => undefined);

test("a completed call gives its place back at once", async () => {
  const { grace, queued, released } = calling(never);
  await grace.release(queued, "completed");
  expect(released).toEqual(["lease", "permit"]);
});

test("a call that was given up keeps its place until the app has given it up too", async () => {
  const gaveUp = Promise.withResolvers<void>();
  const { grace, queued, released, stuck } = calling(gaveUp.promise);
  const done = grace.release(queued, "given_up");
  await Promise.resolve();
  expect(released).toEqual([]);
  gaveUp.resolve();
  await done;
  expect(released).toEqual(["lease", "permit"]);
  expect(stuck).toEqual([]);
});

test("an app that does not come to an end is reported stuck, and the place is free", async () => {
  vi.useFakeTimers();
  const { grace, queued, released, stuck, settings } = calling(never);
  const done = grace.release(queued, "given_up");
  await vi.advanceTimersByTimeAsync(Math.max(1, settings.exitGracePeriod) * 1000);
  await done;
  vi.useRealTimers();
  expect(stuck).toEqual([`container call ${Math.max(1, settings.exitGracePeriod)}`]);
  expect(released).toEqual(["lease", "permit"]);
});

test("a closing endpoint waits for nobody", async () => {
  const { grace, queued, released, stuck, closing } = calling(never);
  const done = grace.release(queued, "given_up");
  closing.abort();
  await done;
  expect([released, stuck]).toEqual([["lease", "permit"], []]);
});
