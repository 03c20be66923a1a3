/** Who may begin at an endpoint, and what the operator hears of those who wait. */
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { Call, Settlement } from "../../../origin-gpu/calls/call.ts";
import { Admission } from "../../../origin-gpu/endpoints/admission.ts";
import type { QueuedCall } from "../../../origin-gpu/endpoints/queued-call.ts";
import { endpointConfig } from "../containers/endpoint.ts";

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
});
afterEach(() => {
  vi.useRealTimers();
});

function endpointOf(more: Partial<Parameters<typeof endpointConfig>[0]> = {}) {
  const lines: string[] = [];
  const admitted: string[] = [];
  const failures: string[] = [];
  const settings = endpointConfig({ kind: { type: "web_server", command: ["app"] }, ...more });
  const admission = new Admission({
    settings,
    bodies: undefined,
    onAdmitted: ({ call }) => admitted.push(call.callId),
    onSettled: ({ permit }) => permit?.release(),
    log: (line) => lines.push(line),
  });
  /** Queues a call; returns what ends it. */
  const queue = (callId: string, traits: { isPromised?: boolean } = {}) => {
    let settled: ((how: Settlement) => void) | undefined;
    const call = {
      callId,
      isPromised: traits.isPromised ?? false,
      head: { headers: [] },
      whenSettled: (callback: (how: Settlement) => void) => {
        settled = callback;
      },
      fail: ({ code }: { code: string }) => failures.push(`${callId} ${code}`),
    };
    const queued: QueuedCall = {
      call: call as unknown as Call,
      settings,
      link: 0,
      arrivedAt: performance.now(),
      permit: undefined,
      lease: undefined,
      unsent: 0,
    };
    return { state: admission.queue(queued), settle: () => settled?.("completed"), queued };
  };
  return { admission, queue, lines, admitted, failures };
}

test("calls begin in the order of their arrival, as places get free", () => {
  const { queue, admitted } = endpointOf({ maxInputs: 1 });
  const first = queue("a");
  expect([first.state, queue("b").state, queue("c").state]).toEqual(["begins", "waits", "waits"]);
  first.settle();
  expect(admitted).toEqual(["a", "b"]);
});

test("a full queue refuses a call, and one that was promised tries again later", () => {
  const { queue, failures, admitted } = endpointOf({ maxInputs: 1, maxPending: 0 });
  const first = queue("a");
  expect(queue("b").state).toBe("refused");
  expect(failures).toEqual(["b queue_full"]);
  expect(queue("c", { isPromised: true }).state).toBe("waits");
  first.settle();
  vi.advanceTimersByTime(1_000);
  expect(admitted).toEqual(["a", "c"]);
});

test("the operator hears when others hold every place for long, and not of a queue that moves", () => {
  const { queue, lines } = endpointOf({ maxInputs: 1, function: "ui" });
  const moving = queue("a");
  const next = queue("b");
  queue("c");
  vi.advanceTimersByTime(15_000);
  moving.settle();
  vi.advanceTimersByTime(5_000);
  expect(lines).toEqual([]);
  vi.advanceTimersByTime(20_000);
  expect(lines).toEqual([
    "postern: 1 of 1 places of ui are held for 25 s and more, 1 request waits: raise max_inputs",
  ]);
  next.settle();
  vi.advanceTimersByTime(60_000);
  expect(lines).toHaveLength(1);
});
