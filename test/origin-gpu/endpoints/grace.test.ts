/** When a call that ended gives its place back. */
import { expect, test, vi } from "vitest";
import type { Call } from "../../../origin-gpu/calls/call.ts";
import { Grace } from "../../../origin-gpu/endpoints/grace.ts";
import type { QueuedCall } from "../../../origin-gpu/endpoints/queued-call.ts";
import type { ServingContainer } from "../../../origin-gpu/endpoints/serving-container.ts";
import { endpointConfig } from "../containers/endpoint.ts";

function calling(gaveUp: Promise<void>, exited: Promise<unknown> = new Promise(() => undefined)) {
  const free: string[] = [];
  const stuck: string[] = [];
  const closing = new AbortController();
  const settings = endpointConfig({ kind: { type: "web_server", command: ["app"] } });
  const grace = new Grace({
    settings,
    closing: closing.signal,
    onFree: ({ call }) => free.push(call.callId),
    onStuck: (containerId, callId, afterS) => stuck.push(`${containerId} ${callId} ${afterS}`),
  });
  const container = { id: "container", exited, gaveUp: async () => await gaveUp };
  const queued = {
    call: { callId: "call" } as Call,
    container: container as unknown as ServingContainer,
  } as unknown as QueuedCall;
  return { grace, queued, free, stuck, closing, settings };
}

const never = new Promise<void>(() => undefined);

test("a completed call gives its place back at once", async () => {
  const { grace, queued, free } = calling(never);
  await grace.release(queued, "completed");
  expect(free).toEqual(["call"]);
});

test("a call that was given up keeps its place until the app has given it up too", async () => {
  const gaveUp = Promise.withResolvers<void>();
  const { grace, queued, free, stuck } = calling(gaveUp.promise);
  const done = grace.release(queued, "given_up");
  await Promise.resolve();
  expect(free).toEqual([]);
  gaveUp.resolve();
  await done;
  expect(free).toEqual(["call"]);
  expect(stuck).toEqual([]);
});

test("an app that does not come to an end is reported stuck, and the place is free", async () => {
  vi.useFakeTimers();
  const { grace, queued, free, stuck, settings } = calling(never);
  const done = grace.release(queued, "given_up");
  await vi.advanceTimersByTimeAsync(Math.max(1, settings.exitGracePeriod) * 1000);
  await done;
  vi.useRealTimers();
  expect(stuck).toEqual([`container call ${Math.max(1, settings.exitGracePeriod)}`]);
  expect(free).toEqual(["call"]);
});

test("a closing endpoint waits for nobody", async () => {
  const { grace, queued, free, stuck, closing } = calling(never);
  const done = grace.release(queued, "given_up");
  closing.abort();
  await done;
  expect([free, stuck]).toEqual([["call"], []]);
});
