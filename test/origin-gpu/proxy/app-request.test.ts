/** Which limit ends a call, and whom its failure blames: the app, or a client that sends or reads no more. */
import type { Dispatcher } from "undici";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { Call } from "../../../origin-gpu/calls/call.ts";
import { RequestBody } from "../../../origin-gpu/calls/request-body.ts";
import { AppRequest } from "../../../origin-gpu/proxy/app-request.ts";

const LIMITS = { timeoutMs: 10_000, maxDurationMs: 60_000 };
const PART = new Uint8Array(1_000);
const CONTROLLER = {
  rawHeaders: [],
  pause: () => undefined,
  resume: () => undefined,
  abort: () => undefined,
} as unknown as Dispatcher.DispatchController;

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

/** A request whose body has begun; `end` is undefined until its call has ended. */
function begin(isWhole: boolean) {
  const body = new RequestBody(undefined, PART, isWhole);
  let end: string | undefined;
  const call = {
    body,
    start: () => undefined,
    respond: () => undefined,
    fail: ({ code, detail }: { code: string; detail: string }) => (end ??= `${code}: ${detail}`),
    cancel: (reason: string) => (end ??= `cancelled: ${reason}`),
  };
  const request = new AppRequest(
    { call: call as unknown as Call, waited: { queue: 0, start: 0 }, limits: LIMITS },
    () => false,
  );
  return {
    body,
    request,
    get end() {
      return end;
    },
  };
}

/** An app that takes each part of the body at once. */
async function read(body: RequestBody): Promise<void> {
  try {
    for await (const _ of body.chunks());
  } catch {
    // The call ended.
  }
}

const after = async (ms: number): Promise<void> => {
  await vi.advanceTimersByTimeAsync(ms);
};

describe("before the response", () => {
  test("an app that is silent for timeout is blamed", async () => {
    const call = begin(true);
    await after(9_999);
    expect(call.end).toBeUndefined();
    await after(1);
    expect(call.end).toBe("call_timeout: the app did not answer within 10 s");
  });

  test("a client that stops sending is blamed, from its last byte on", async () => {
    const call = begin(false);
    void read(call.body);
    await after(6_000);
    call.body.push(PART, false);
    await after(9_999);
    expect(call.end).toBeUndefined();
    await after(1);
    expect(call.end).toBe("upload_interrupted: the client sent no more for 10 s");
  });

  test("an upload that goes on is not ended, and the app has its time from the last byte on", async () => {
    const call = begin(false);
    void read(call.body);
    for (let sent = 0; sent < 4; sent += 1) {
      await after(9_000);
      call.body.push(PART, sent === 3);
    }
    await after(9_999);
    expect(call.end).toBeUndefined();
    await after(1);
    expect(call.end).toBe("call_timeout: the app did not answer within 10 s");
  });

  test("an app that does not take the body is blamed", async () => {
    const call = begin(false);
    const chunks = call.body.chunks();
    void chunks.next();
    await after(1_000);
    call.body.push(PART, false);
    await after(10_000);
    expect(call.end).toBe("call_timeout: the app did not answer within 10 s");
  });

  test("a body that trickles is ended after max_duration", async () => {
    const call = begin(false);
    void read(call.body);
    for (let sent = 0; sent < 11; sent += 1) {
      await after(5_000);
      call.body.push(PART, false);
    }
    await after(4_999);
    expect(call.end).toBeUndefined();
    await after(1);
    expect(call.end).toBe("upload_interrupted: the body was not whole after 60 s");
  });
});

describe("a response that lasts for max_duration", () => {
  test("is the app's failure while its client reads", async () => {
    const call = begin(true);
    call.request.onResponseStart(CONTROLLER, 200);
    call.request.pause();
    call.request.resume();
    await after(59_999);
    expect(call.end).toBeUndefined();
    await after(1);
    expect(call.end).toBe("call_timeout: the app's answer did not end within 60 s");
  });

  test("ends as cancelled where its client has stopped reading", async () => {
    const call = begin(true);
    call.request.onResponseStart(CONTROLLER, 200);
    call.request.pause();
    await after(59_999);
    expect(call.end).toBeUndefined();
    await after(1);
    expect(call.end).toBe("cancelled: the client did not take the response within 60 s");
  });
});
