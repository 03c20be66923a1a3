/** The object's end of its local queue: a fault in opening one call is that call's alone. */
import { expect, onTestFinished, test } from "vitest";
import { localQueueOf } from "../../../../gateway/contracts/local-queue.ts";
import { ClaimableCalls } from "../../../../gateway/objects/link/claimable-calls.ts";
import { Deadlines } from "../../../../gateway/objects/link/deadlines.ts";
import type { Multiplexer, Stream, StreamEvents } from "../../../../routing/wire/multiplexer.ts";

const NO_BODY = new Uint8Array(0);
const ANSWER = { kind: "response", head: "answer", body: NO_BODY, resumable: false };

/** An object whose queue is published. Its link answers each call at once, and throws for the head `bad`. */
function publishing({ link, faultyLink = false }: { link: string; faultyLink?: boolean }) {
  const faults: unknown[] = [];
  const streams = {
    requestWindow: 1_000,
    open: (head: string, _body: Uint8Array, _end: boolean, events: StreamEvents) => {
      if (head === "bad") throw new Error("its frame was not made");
      queueMicrotask(() => events.onHead?.("answer", NO_BODY, true));
      return { consume: () => undefined, finish: () => undefined } as unknown as Stream;
    },
  } as unknown as Multiplexer;
  let asked = 0;
  const calls = new ClaimableCalls(
    new Deadlines(),
    () => {
      asked += 1;
      if (faultyLink && asked === 1) throw new Error("its socket is no socket");
      return streams;
    },
    (error) => faults.push(error),
  );
  const taking = calls.publish(link);
  const queue = localQueueOf(link);
  if (queue === undefined) throw new Error("no queue is published");
  onTestFinished(async () => {
    queue.close();
    await taking;
  });
  const put = async (callId: string, head: string) => await queue.put(callId, head, NO_BODY, "");
  return { calls, put, faults };
}

test("a call whose opening throws fails alone: those beside it and after it are answered", async () => {
  const { calls, put, faults } = publishing({ link: "throws" });
  const beside = [put("a", "good"), put("b", "bad"), put("c", "good")];
  // The agent may have the call, so that it is asked for and not sent again.
  const failed = { kind: "failed", cause: "link_lost" };
  expect(await Promise.all(beside)).toMatchObject([ANSWER, failed, ANSWER]);
  expect(await put("d", "good")).toMatchObject(ANSWER);
  expect(localQueueOf("throws")).toBeDefined();
  expect(calls.find("b")).toBeUndefined();
  expect(faults).toEqual([new Error("its frame was not made")]);
});

test("a call for which no link can be had goes by a request", async () => {
  const { put, faults } = publishing({ link: "faulty", faultyLink: true });
  const beside = [put("a", "good"), put("b", "good")];
  expect(await Promise.all(beside)).toMatchObject(["not_opened", ANSWER]);
  expect(faults).toHaveLength(1);
});

test("an error that ends the taking of calls ends their queue too: the next one is published anew", async () => {
  const link = "ends";
  const calls = new ClaimableCalls(
    new Deadlines(),
    () => {
      throw new Error("its socket is no socket");
    },
    () => {
      throw new Error("the report broke too");
    },
  );
  const taking = calls.publish(link);
  const queue = localQueueOf(link);
  const put = queue?.put("a", "good", NO_BODY, "");
  await expect(taking).rejects.toThrow("the report broke too");
  expect(await put).toBe("running");
  expect(localQueueOf(link)).toBeUndefined();
  const again = calls.publish(link);
  expect(again).toBeDefined();
  expect(localQueueOf(link)).not.toBe(queue);
  localQueueOf(link)?.close();
  await again;
});
