/** Clients that watch calls: what each hears and when, and what all of them cost the agent. */
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { receivedAttempt } from "../../../../gateway/contracts/attempt.ts";
import { CallWatchers } from "../../../../gateway/objects/link/call-watchers.ts";
import type { CallStatusReport } from "../../../../routing/wire/call-descriptions.ts";

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["Date", "setInterval", "clearInterval"] });
});
afterEach(() => {
  vi.useRealTimers();
});

const PENDING = { status: "pending", position: 2, elapsedMs: 0 } as const;

/** Watchers of an agent that knows these calls. */
function watching(known: Record<string, Omit<CallStatusReport, "callId">>) {
  const asked: string[][] = [];
  const agent = { isAway: false, refuses: undefined as string | undefined };
  const watchers = new CallWatchers(async (head) => {
    await Promise.resolve();
    const { parameters } = JSON.parse(head) as { parameters: { callIds: string[] } };
    asked.push(parameters.callIds);
    if (agent.isAway) return undefined;
    if (agent.refuses !== undefined) return { kind: "refused", failure: agent.refuses };
    const calls = parameters.callIds.flatMap((callId) =>
      known[callId] === undefined ? [] : [{ callId, ...known[callId] }],
    );
    return { kind: "value", text: JSON.stringify({ calls }) };
  });
  const watch = async (callId: string) => {
    const attempt = receivedAttempt(await watchers.watch(callId));
    if (attempt.kind !== "response") return { attempt, heard: [], isOver: () => false };
    const reader = (attempt.body as ReadableStream<Uint8Array>).getReader();
    const heard: string[] = [];
    let isOver = false;
    const read = async (): Promise<void> => {
      for (;;) {
        const { done, value } = await reader.read();
        if (done) break;
        heard.push(new TextDecoder().decode(value));
      }
      isOver = true;
    };
    // A stream that is cancelled breaks its own reads.
    void read().catch(() => undefined);
    await settled();
    return { attempt, heard, isOver: () => isOver, leave: () => reader.cancel() };
  };
  const round = async (seconds = 1): Promise<void> => {
    for (let second = 0; second < seconds; second += 1) {
      vi.advanceTimersByTime(1_000);
      await settled();
    }
  };
  return { watchers, watch, round, known, asked, agent };
}

/** Lets the runtime settle what was written and read. */
async function settled(): Promise<void> {
  for (let turn = 0; turn < 5; turn += 1) await scheduler.wait(0);
}

test("a watcher hears the status at once, each change, and the last one; then its stream ends", async () => {
  const { watch, round, known } = watching({ call: PENDING });
  const { heard, isOver } = await watch("call");
  expect(heard).toEqual([expect.stringMatching(/^retry: 2000\n\nevent: status\ndata: .*pending/)]);
  await round(3);
  expect(heard).toHaveLength(1);
  known["call"] = { ...PENDING, position: 1 };
  await round();
  expect(heard.at(-1)).toContain('"position":1');
  known["call"] = { status: "success", position: 0, elapsedMs: 9_000 };
  await round();
  expect([heard.at(-1), isOver()]).toEqual([expect.stringContaining('"status":"success"'), true]);
});

test("one question each second answers all who watch, and none is asked when nobody does", async () => {
  const { watch, round, asked } = watching({ one: PENDING, two: PENDING });
  const watches = [await watch("one"), await watch("one"), await watch("two")];
  asked.length = 0;
  await round(2);
  expect(asked).toEqual([
    ["one", "two"],
    ["one", "two"],
  ]);
  for (const each of watches) await each.leave?.();
  // The runtime shows it with the next write.
  await round(10);
  expect(vi.getTimerCount()).toBe(0);
});

test("a hundred calls take two questions", async () => {
  const known = Object.fromEntries(Array.from({ length: 100 }, (_, n) => [`call-${n}`, PENDING]));
  const { watch, round, asked } = watching(known);
  for (const callId of Object.keys(known)) await watch(callId);
  asked.length = 0;
  await round();
  expect(asked.map((callIds) => callIds.length)).toEqual([50, 50]);
}, 30_000);

test("while the link is away a watcher hears heartbeats within 10 s, and afterwards what it missed", async () => {
  const { watch, round, known, agent } = watching({ call: PENDING });
  const { heard } = await watch("call");
  agent.isAway = true;
  await round(9);
  expect(heard.slice(1)).toEqual([": waiting\n\n"]);
  await round(9);
  expect(heard.slice(1)).toEqual([": waiting\n\n", ": waiting\n\n"]);
  agent.isAway = false;
  known["call"] = { status: "running", position: 0, elapsedMs: 20_000 };
  await round();
  expect(heard.at(-1)).toContain("running");
});

test("a call that its box does not know any more is lost, and one that it never knew is refused", async () => {
  const { watch, round, known } = watching({ call: PENDING });
  const { heard, isOver } = await watch("call");
  delete known["call"];
  await round();
  expect([heard.at(-1), isOver()]).toEqual([expect.stringContaining('"status":"lost"'), true]);
  expect((await watch("call")).attempt).toMatchObject({ failure: { code: "call_lost" } });
});

test("an older agent's refusal is the answer, and so is its silence", async () => {
  const { watch, agent } = watching({});
  agent.refuses = '{"code":"not_supported","detail":"older"}';
  expect((await watch("call")).attempt).toMatchObject({ failure: { code: "not_supported" } });
  agent.isAway = true;
  expect((await watch("call")).attempt).toMatchObject({ failure: { code: "unavailable" } });
});

test("a client that takes nothing holds one event, and is given up", async () => {
  const { watchers, round, known } = watching({ call: PENDING });
  const attempt = receivedAttempt(await watchers.watch("call"));
  for (let position = 50; position > 25; position -= 1) {
    known["call"] = { ...PENDING, position };
    await round();
  }
  expect(vi.getTimerCount()).toBe(1);
  await round(10);
  expect(vi.getTimerCount()).toBe(0);
  if (attempt.kind !== "response") throw new Error("no response");
  const text = new Response(attempt.body as ReadableStream).text();
  await expect(text).rejects.toThrow();
});

test("no more than 1,000 watch one box", async () => {
  const { watchers } = watching({ call: PENDING });
  const attempts = [];
  for (let count = 0; count <= 1_000; count += 1) {
    attempts.push(receivedAttempt(await watchers.watch("call")).kind);
  }
  expect(attempts.slice(-2)).toEqual(["response", "failed"]);
}, 30_000);
