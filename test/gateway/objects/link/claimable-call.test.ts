/** Local calls, from both ends. That each end stays in its own context is tested in test/e2e. */
import { describe, expect, test } from "vitest";
import { ClaimableCall } from "../../../../gateway/objects/link/claimable-call.ts";
import { LocalCall, LocalQueue, localQueueOf } from "../../../../gateway/contracts/local-queue.ts";
import type { StreamResponse } from "../../../../gateway/objects/link/stream-response.ts";
import type { Deadlines } from "../../../../gateway/objects/link/deadlines.ts";
import type { Stream, StreamEnding } from "../../../../routing/wire/multiplexer.ts";

const BODY = new TextEncoder().encode("body");

/** A call that the object has, with everything that it does to others. */
function opened() {
  const said: string[] = [];
  const expire: (() => void)[] = [];
  const local = new LocalCall("call", "{}", new Uint8Array(0), "endpoint");
  expect(local.open()).toBe(true);
  const deadlines = {
    start: (_ms: number, expired: () => void) => {
      expire.push(expired);
      return () => void expire.splice(expire.indexOf(expired), 1);
    },
  } as unknown as Deadlines;
  const call = new ClaimableCall(local, deadlines, () => said.push("forgotten"));
  const stream = {
    events: undefined as unknown,
    consume: (bytes: number) => said.push(`consumed ${bytes}`),
    finish: () => said.push("finished"),
    cancel: () => said.push("cancelled"),
    discard: () => said.push("discarded"),
  };
  call.start(stream as unknown as Stream);
  return { call, local, stream, said, expire };
}

/** A Worker that came for its call. */
function claiming() {
  const heard: string[] = [];
  const response = {
    start: () => heard.push("start"),
    onHead: (head: string, _body: Uint8Array, end: boolean) => heard.push(`head ${head} ${end}`),
    onPark: () => heard.push("park"),
    onData: (bytes: Uint8Array, end: boolean) => heard.push(`data ${bytes.length} ${end}`),
    onEnd: ({ kind }: StreamEnding) => heard.push(kind),
  };
  return { response: response as unknown as StreamResponse, heard };
}

describe("a response", () => {
  test("that is whole goes to the Worker at once, and the agent is told", async () => {
    const { call, local, said, expire } = opened();
    call.onHead("head", BODY, true);
    expect(await local.outcome()).toEqual({
      kind: "response",
      head: "head",
      body: BODY,
      resumable: false,
      wholeBytes: BODY.length,
    });
    expect(said).toEqual(["consumed 4", "finished", "forgotten"]);
    expect(expire).toEqual([]);
  });

  test("that is not whole is claimed, and loses nothing until then", async () => {
    const { call, local, stream, said, expire } = opened();
    call.onHead("head", BODY, false);
    call.onData(BODY, true);
    expect(await local.outcome()).toBe("running");
    const { response, heard } = claiming();
    call.claim(response);
    expect(heard).toEqual(["start", "head head false", "data 4 true"]);
    expect(stream.events).toBe(response);
    expect(said).toEqual(["forgotten"]);
    expect(expire).toEqual([]);
  });

  test("that comes when the Worker has stopped waiting is there when it claims its call", async () => {
    const { call, local } = opened();
    expect(await local.outcome()).toBe("running");
    call.onHead("head", BODY, true);
    const { response, heard } = claiming();
    call.claim(response);
    expect(heard).toEqual(["start", "head head true"]);
  });

  test("that there will not be is told with its reason", async () => {
    const { call, local, said } = opened();
    call.onEnd({ kind: "refused", failure: '{"code":"queue_full"}' });
    const failure = '{"code":"queue_full"}';
    expect(await local.outcome()).toEqual({ kind: "failed", cause: "refused", failure });
    expect(said).toEqual(["forgotten"]);
  });
});

describe("a call that waits", () => {
  test("is told of at once where its Worker waits for it, and loses nothing until it is claimed", async () => {
    const { call, local } = opened();
    call.onPark();
    expect(await local.outcome()).toBe("parked");
    call.onHead("head", BODY, true);
    const { response, heard } = claiming();
    call.claim(response);
    expect(heard).toEqual(["start", "head head true"]);
  });

  test("is told of with the claim where its Worker had stopped waiting", async () => {
    const { call, local } = opened();
    expect(await local.outcome()).toBe("running");
    call.onPark();
    const { response, heard } = claiming();
    call.claim(response);
    expect(heard).toEqual(["start", "park"]);
  });
});

describe("a call that nobody claims", () => {
  test("is cancelled: its client has left", () => {
    const { expire, said } = opened();
    expire[0]?.();
    expect(said).toEqual(["forgotten", "cancelled", "discarded"]);
  });

  test("has longer when its Worker was there a moment ago", async () => {
    const { call, local, expire, said } = opened();
    call.onHead("head", BODY, false);
    await local.outcome();
    expire[0]?.();
    expect(said).toEqual([]);
    expire[1]?.();
    expect(said).toEqual(["forgotten", "cancelled", "discarded"]);
  });
});

describe("a local queue", () => {
  test("hands calls on in their order, and those that wait too when it is closed", async () => {
    const queue = new LocalQueue("order");
    queue.publish();
    const outcomes = ["a", "b"].map((id) => queue.put(id, "{}", BODY, ""));
    const calls = await queue.next();
    expect(calls.map(({ callId }) => callId)).toEqual(["a", "b"]);
    for (const call of calls) {
      call.settle({ kind: "response", head: call.callId, body: BODY, resumable: false });
    }
    expect(await Promise.all(outcomes)).toMatchObject([{ head: "a" }, { head: "b" }]);
    const last = queue.put("c", "{}", BODY, "");
    queue.close();
    const [waiting] = await queue.next();
    waiting?.settle("not_opened");
    expect(await last).toBe("not_opened");
    expect(await queue.next()).toEqual([]);
  });

  test("where nobody takes calls is not offered any more, and the call is not begun later", async () => {
    const queue = new LocalQueue("gone");
    queue.publish();
    expect(localQueueOf("gone")).toBe(queue);
    expect(await queue.put("a", "{}", BODY, "")).toBe("not_opened");
    expect(localQueueOf("gone")).toBeUndefined();
    const [call] = await queue.next();
    expect(call?.open()).toBe(false);
  });

  test("wakes the object that waits", async () => {
    const queue = new LocalQueue("wakes");
    const next = queue.next();
    const outcome = queue.put("a", "{}", BODY, "");
    const [call] = await next;
    call?.settle("not_opened");
    expect(await outcome).toBe("not_opened");
  });
});
