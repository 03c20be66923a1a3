/** Calls that are handed over by memory, from both ends; that each end stays in its own context: test/e2e. */
import { describe, expect, test } from "vitest";
import { HandedCall } from "../../../../gateway/objects/link/local-call.ts";
import { Desk, deskOf, Handover } from "../../../../gateway/contracts/local-queue.ts";
import type { Attachment } from "../../../../gateway/objects/link/stream-response.ts";
import type { Deadlines } from "../../../../gateway/objects/link/deadlines.ts";
import type { Stream, StreamEnding } from "../../../../routing/wire/multiplexer.ts";

const BODY = new TextEncoder().encode("body");

/** A call in the object's hands, with all that is done to its surroundings. */
function handed() {
  const said: string[] = [];
  const expire: (() => void)[] = [];
  const handover = new Handover("call", "{}", new Uint8Array(0));
  expect(handover.begin()).toBe(true);
  const deadlines = {
    start: (_ms: number, expired: () => void) => {
      expire.push(expired);
      return () => void expire.splice(expire.indexOf(expired), 1);
    },
  } as unknown as Deadlines;
  const call = new HandedCall(handover, deadlines, () => said.push("forgotten"));
  const stream = {
    events: undefined as unknown,
    drained: (bytes: number) => said.push(`drained ${bytes}`),
    done: () => said.push("done"),
    cancel: () => said.push("cancelled"),
    discard: () => said.push("discarded"),
  };
  call.start(stream as unknown as Stream);
  return { call, handover, stream, said, expire };
}

/** A Worker that came for its call. */
function claiming() {
  const heard: string[] = [];
  const attachment = {
    start: () => heard.push("start"),
    onHead: (head: string, _body: Uint8Array, end: boolean) => heard.push(`head ${head} ${end}`),
    onData: (bytes: Uint8Array, end: boolean) => heard.push(`data ${bytes.length} ${end}`),
    onOver: ({ kind }: StreamEnding) => heard.push(kind),
  };
  return { attachment: attachment as unknown as Attachment, heard };
}

describe("an answer", () => {
  test("that is whole goes to the Worker at once, and the agent is told", async () => {
    const { call, handover, said, expire } = handed();
    call.onHead("head", BODY, true);
    expect(await handover.outcome()).toEqual({ kind: "answered", head: "head", body: BODY });
    expect(said).toEqual(["drained 4", "done", "forgotten"]);
    expect(expire).toEqual([]);
  });

  test("that is not whole is claimed, and loses nothing until then", async () => {
    const { call, handover, stream, said, expire } = handed();
    call.onHead("head", BODY, false);
    call.onData(BODY, true);
    expect(await handover.outcome()).toEqual({ kind: "runs" });
    const { attachment, heard } = claiming();
    call.claimedBy(attachment);
    expect(heard).toEqual(["start", "head head false", "data 4 true"]);
    expect(stream.events).toBe(attachment);
    expect(said).toEqual(["forgotten"]);
    expect(expire).toEqual([]);
  });

  test("that comes when the Worker has stopped waiting is there when it claims its call", async () => {
    const { call, handover } = handed();
    expect(await handover.outcome()).toEqual({ kind: "runs" });
    call.onHead("head", BODY, true);
    const { attachment, heard } = claiming();
    call.claimedBy(attachment);
    expect(heard).toEqual(["start", "head head true"]);
  });

  test("that there will not be is told with its reason", async () => {
    const { call, handover, said } = handed();
    call.onOver({ kind: "refused", failure: '{"code":"queue_full"}' });
    const failure = '{"code":"queue_full"}';
    expect(await handover.outcome()).toEqual({ kind: "ended", ending: "refused", failure });
    expect(said).toEqual(["forgotten"]);
  });
});

describe("a call that nobody claims", () => {
  test("is cancelled: its client has left", () => {
    const { expire, said } = handed();
    expire[0]?.();
    expect(said).toEqual(["forgotten", "cancelled", "discarded"]);
  });

  test("has longer when its Worker was there a moment ago", async () => {
    const { call, handover, expire, said } = handed();
    call.onHead("head", BODY, false);
    await handover.outcome();
    expire[0]?.();
    expect(said).toEqual([]);
    expire[1]?.();
    expect(said).toEqual(["forgotten", "cancelled", "discarded"]);
  });
});

describe("a desk", () => {
  test("hands calls on in their order, and those that wait too when it is closed", async () => {
    const desk = new Desk("order");
    desk.offer();
    const outcomes = ["a", "b"].map((id) => desk.handOver(id, "{}", BODY));
    const calls = await desk.next();
    expect(calls.map(({ id }) => id)).toEqual(["a", "b"]);
    for (const call of calls) call.settle({ kind: "answered", head: call.id, body: BODY });
    expect(await Promise.all(outcomes)).toMatchObject([{ head: "a" }, { head: "b" }]);
    const last = desk.handOver("c", "{}", BODY);
    desk.close();
    const [waiting] = await desk.next();
    waiting?.refuse();
    expect(await last).toEqual({ kind: "not_begun" });
    expect(await desk.next()).toEqual([]);
  });

  test("where nobody takes calls is not offered any more, and the call is not begun later", async () => {
    const desk = new Desk("gone");
    desk.offer();
    expect(deskOf("gone")).toBe(desk);
    expect(await desk.handOver("a", "{}", BODY)).toEqual({ kind: "not_begun" });
    expect(deskOf("gone")).toBeUndefined();
    const [call] = await desk.next();
    expect(call?.begin()).toBe(false);
  });

  test("wakes the object that waits", async () => {
    const desk = new Desk("wakes");
    const next = desk.next();
    const outcome = desk.handOver("a", "{}", BODY);
    const [call] = await next;
    call?.refuse();
    expect(await outcome).toEqual({ kind: "not_begun" });
  });
});
