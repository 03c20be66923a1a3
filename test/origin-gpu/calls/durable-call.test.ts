/** Durable calls whose clients are there: both ends of a link, a real table and a real disk. */
import { cpSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

import { KIB, MIB } from "../../../base/units.ts";
import { Observer, SILENT, textSink } from "../../../base/observer.ts";
import { SharedRoom } from "../../../origin-gpu/calls/shared-room.ts";
import type { Call, AppWork } from "../../../origin-gpu/calls/call.ts";
import { type CallCursor } from "../../../routing/wire/call-descriptions.ts";
import { CallRegistry } from "../../../origin-gpu/calls/call-registry.ts";
import { DurableCalls } from "../../../origin-gpu/calls/store/durable-calls.ts";
import { Tombstones } from "../../../origin-gpu/calls/tombstones.ts";
import { refuse } from "../../../origin-gpu/calls/response/delivery.ts";
import { RingBudget } from "../../../origin-gpu/calls/response/replay-ring.ts";
import { parseRequestHead, type RequestHead } from "../../../routing/wire/heads.ts";
import { type Failure, parseAttach, parseFailure } from "../../../routing/wire/messages.ts";
import { NO_EVENTS, type Stream, type StreamEvents } from "../../../routing/wire/multiplexer.ts";
import { temporaryDirectory } from "../../support/temporary.ts";
import { FaultyFiles } from "./store/faulty-files.ts";
import { LinkPair } from "../../routing/wire/link-pair.ts";

const CARRIER = { congested: false, whenDrained: () => undefined };
const APP: AppWork = { pause: () => undefined, resume: () => undefined, abort: () => undefined };
const HEAD = { callId: "c", endpoint: "e", method: "POST", target: "/", headers: [] };
const REQUEST = { endpoint: "e", method: "POST", path: "/" };
const FAILED = { kind: "failed", failure: { code: "origin_error", detail: "" } } as const;
const HALF = new Uint8Array(1000);

/** The disk has this much room for answers. */
const QUOTA_BYTES = 100 * KIB;

let directory: string;
let faulty: FaultyFiles;
/** The operator's log. */
let log: string[];
let durable: DurableCalls;
let table: CallRegistry;
let pair: LinkPair;
let calls: Call[];
/** Their heads as they came. */
let heads: RequestHead[];
/** What the endpoint says to every call instead of running it. */
let refusal: Failure | undefined;
/** Two heads of waiting calls with 40,000 bytes of headers each, and not three. */
const HEADS = new SharedRoom(120_000);
/** Milliseconds by which the clock of the calls is ahead. */
let aheadMs = 0;
const CONTEXT = {
  now: () => performance.now() + aheadMs,
  soon: setImmediate,
  later: setImmediate,
  aMoment: (call: Call) => setImmediate(() => call.onMoment()),
  rings: new RingBudget(),
  heads: HEADS,
  observer: SILENT,
};
const RUNNER = {
  resultTtlMs: 60_000,
  graceMs: 0,
  run: (call: Call) => {
    calls.push(call);
    heads.push(call.head);
    if (refusal !== undefined) call.fail(refusal);
  },
};
beforeEach(async () => {
  directory = temporaryDirectory();
  faulty = new FaultyFiles();
  log = [];
  durable = await openDurableCalls(directory);
  calls = [];
  heads = [];
  refusal = undefined;
  table = new CallRegistry({ context: CONTEXT, durable });
  pair = linkPair();
});
afterEach(async () => {
  await durable.close();
  expect(log).toEqual([]);
});

/** A link to an agent with the present table. */
function linkPair(): LinkPair {
  return new LinkPair({
    onOpen: (stream, text, body, end) =>
      table.open(stream, CARRIER, parseRequestHead(text), { body, end }, RUNNER),
    onAttach: (stream, text) => table.attach(stream, CARRIER, parseAttach(text)),
  });
}

async function openDurableCalls(path: string): Promise<DurableCalls> {
  return await DurableCalls.open({
    directory: path,
    quotaBytes: QUOTA_BYTES,
    files: faulty.files,
    observer: new Observer({
      sinks: [
        textSink(
          (line) => log.push(line),
          () => "",
        ),
      ],
      now: Date.now,
    }),
  });
}

function isInJournal(text: string): boolean {
  return readFileSync(join(directory, "journal"), "utf8").includes(text);
}

/** Opens what is on the disk now, as an agent that starts after a kill of this one. */
async function afterKill(): Promise<DurableCalls> {
  const copy = temporaryDirectory();
  cpSync(directory, copy, { recursive: true });
  return await openDurableCalls(copy);
}

/** A gateway's end that notes what it hears. */
function listener(): { heard: string[]; events: StreamEvents } {
  const heard: string[] = [];
  const events: StreamEvents = {
    onHead: (_head, body, last) => heard.push(`head ${body.length} ${last}`),
    onData: (bytes, last) => heard.push(`data ${bytes.length} ${last}`),
    onEnd: (ending) => {
      const failure = "failure" in ending ? ` ${parseFailure(ending.failure).code}` : "";
      heard.push(ending.kind + failure);
    },
  };
  return { heard, events };
}

/** What the gateway's end of the call has heard. */
function open(head: Partial<RequestHead>, end: boolean, body: Uint8Array = HALF) {
  const { heard, events } = listener();
  const stream = pair.gateway.open(JSON.stringify({ ...HEAD, ...head }), body, end, events);
  if (stream === undefined) throw new Error("refused");
  return { stream, heard };
}

/** What a stream hears that attaches to the call. */
function attach(callId = HEAD.callId): string[] {
  const { heard, events } = listener();
  pair.gateway.attach(JSON.stringify({ callId, offset: 0 }), events);
  return heard;
}

/** What was to happen in a moment has happened. */
const tick = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Lets frames and the disk go on until this is so. */
async function until(what: () => boolean | Promise<boolean>): Promise<void> {
  await vi.waitFor(async () => {
    pair.exchange();
    expect(await what()).toBe(true);
  });
}

test("the body of an asynchronous call arrives whole before its client is told to come back", async () => {
  const { stream, heard } = open({ async: true }, false);
  await until(() => calls.length === 1);
  expect(heard).toEqual([]);
  stream.sendData([HALF], true);
  await until(() => heard.length > 0);
  expect(heard).toEqual(["deferred"]);
  expect(calls[0]?.body.whole()).toHaveLength(2 * HALF.length);
});

test("a call that is refused before it began is told so to its client, and its key is free", async () => {
  refusal = { code: "queue_full", detail: "full", retryAfter: 1 };
  const opened = [
    { callId: "a", async: true },
    { callId: "b", key: "k" },
  ];
  for (const head of opened) {
    const { heard } = open(head, true);
    await until(() => heard.length > 0);
    expect(heard).toEqual(["reset queue_full"]);
  }
  await vi.waitFor(() => expect(durable.byKey("k")).toBeUndefined());
  for (const { callId } of opened) expect(durable.lookup(callId)).toEqual({ kind: "unknown" });
});

test("the head of a stored response does not wait for the first byte of its body", async () => {
  const { heard } = open({ key: "k" }, true);
  await until(() => calls.length === 1);
  calls[0]?.start(APP);
  calls[0]?.respond({ status: 200, headers: [] }, false);
  await until(() => heard.length > 0);
  expect(heard).toEqual(["head 0 false"]);
  calls[0]?.append(HALF);
  await until(() => heard.length > 1);
  expect(heard).toEqual(["head 0 false", `data ${HALF.length} false`]);
});

test("a call that waited without a client reaches the app with the head that its client sent", async () => {
  const sent = { method: "PUT", target: "/ä?q", headers: ["x-name", "Zoë", "x-name", '"'] };
  const { heard } = open({ ...sent, async: true }, true);
  await until(() => heard.length > 0);
  const waits = { status: "pending", durable: true, method: "PUT", path: "/ä" };
  await tick();
  expect(table.inspect("c")).toMatchObject(waits);
  calls[0]?.start(APP);
  expect(calls[0]?.head).toEqual({ ...HEAD, ...sent, async: true });
  // It was not that object all the time.
  expect(calls[0]?.head).not.toBe(heads[0]);
});

test("who comes while the journal still notes the failure is told of it", async () => {
  const { heard } = open({ key: "k" }, true);
  await until(() => calls.length === 1);
  calls[0]?.start(APP);
  calls[0]?.fail({ code: "call_timeout", detail: "too long" });
  const late = attach();
  pair.exchange();
  expect(calls[0]?.over).toBe(false);
  expect([heard, late]).toEqual([["reset call_timeout"], ["refused call_timeout"]]);
  await until(() => calls[0]?.over === true);
});

test("a response without room on the disk breaks off, and is results_full to later clients", async () => {
  const { heard } = open({ key: "k" }, true);
  await until(() => calls.length === 1);
  calls[0]?.start(APP);
  calls[0]?.respond({ status: 200, headers: [] }, false);
  await until(() => heard.length > 0);
  calls[0]?.append(new Uint8Array(2 * QUOTA_BYTES));
  calls[0]?.complete();
  await until(() => calls[0]?.over === true && heard.length > 1);
  const late = attach();
  await until(() => late.length > 0);
  expect([heard, late]).toEqual([["head 0 false", "reset results_full"], ["refused results_full"]]);
});

test("heads of waiting calls have a bound, are packed, and are let go when the app has them", async () => {
  const headers = ["x-large", "x".repeat(40_000)];
  const callIds = ["a", "b", "c"];
  const opened = callIds.map((callId) => open({ callId, headers }, true));
  await until(() => calls.length === 3);
  expect(calls.map((call) => call.park())).toEqual([undefined, undefined, 1]);
  expect(HEADS.usedBytes).toBeGreaterThan(80_000);
  await tick();
  calls[0]?.start(APP);
  // Packed while it waited: it is not the object that came.
  expect(calls[0]?.head.headers).toEqual(headers);
  expect(calls[0]?.head).not.toBe(heads[0]);
  expect(calls[2]?.park()).toBeUndefined();
  calls[0]?.respond({ status: 200, headers: [] }, false);
  expect(calls[0]?.head.headers).toEqual([]);
  expect(table.inspect("a")).toMatchObject({ method: "POST", path: "/" });
  for (const call of calls) call.cancel("enough");
  expect(HEADS.usedBytes).toBe(0);
  expect(opened).toHaveLength(3);
});

test("a list in pages has every call, those that run first, the newest of each first", async () => {
  for (let index = 0; index < 5; index += 1) open({ callId: `running-${index}` }, true);
  await until(() => calls.length === 5);
  vi.useFakeTimers({ toFake: ["Date"], now: 1_000 });
  try {
    const ended: string[] = [];
    for (let index = 0; index < 25; index += 1) {
      // Several of one millisecond, and ids in no order.
      vi.setSystemTime(1_000 + Math.floor(index / 4));
      const id = `ended-${(index * 7) % 25}`;
      await durable.accept({ callId: id, ...REQUEST });
      await durable.end(id, FAILED, 60_000);
      ended.push(id);
    }
    const pages: string[][] = [];
    let after: CallCursor | undefined;
    do {
      const page = table.list(4, after);
      pages.push(page.calls.map(({ callId }) => callId));
      after = page.next;
    } while (after !== undefined);
    const all = pages.flat();
    expect(all.slice(0, 5)).toEqual([4, 3, 2, 1, 0].map((index) => `running-${index}`));
    expect(all.slice(5).toSorted()).toEqual(ended.toSorted());
    // Four of a millisecond each: the groups are in order, newest first.
    expect(new Set(all.slice(6, 10))).toEqual(new Set(ended.slice(20, 24)));
    expect(all.at(5)).toBe(ended[24]);
    expect(pages.every((page) => page.length <= 4)).toBe(true);
  } finally {
    vi.useRealTimers();
  }
});

test("a call that became durable on its way counts from when its client began it", async () => {
  const { stream, heard } = open({ target: "/slow?seconds=5" }, true);
  await until(() => calls.length === 1);
  aheadMs += 150_000;
  const running = table.inspect("c");
  expect(running).toMatchObject({ method: "POST", path: "/slow" });
  expect(running?.elapsedMs).toBeGreaterThanOrEqual(150_000);
  stream.defer();
  await until(() => heard.length > 0);
  calls[0]?.fail(FAILED.failure);
  await until(() => durable.inspect("c")?.status === "failure");
  const ended = durable.inspect("c");
  expect(ended).toMatchObject({ method: "POST", path: "/slow" });
  expect(ended?.elapsedMs).toBeGreaterThanOrEqual(150_000);
  expect(ended?.openedAtMs).toBeCloseTo(running?.openedAtMs ?? 0, -4);
});

test("a list goes on where it was, also after a call that is forgotten by now", async () => {
  for (const id of ["a", "b", "c"]) {
    await durable.accept({ callId: id, ...REQUEST });
    await durable.end(id, FAILED, 60_000);
  }
  const { calls, next } = table.list(2);
  expect(calls).toHaveLength(2);
  await durable.forget(calls[1]?.callId as string);
  const rest = table.list(2, next);
  const shown = [...calls, ...rest.calls].map(({ callId }) => callId);
  expect(shown.toSorted()).toEqual(["a", "b", "c"]);
  expect(rest.next).toBeUndefined();
});

test("a restart says lost of calls that may have run alone; the others' keys are free", async () => {
  open({ callId: "may-have-run", key: "k1" }, true);
  open({ callId: "waits", key: "k2" }, true);
  await until(() => calls.length === 2);
  expect(await calls[0]?.recordStart()).toBe("recorded");
  const later = await afterKill();
  expect(later.lookup("may-have-run")).toMatchObject({ failure: { code: "call_lost" } });
  expect(later.lookup("waits")).toMatchObject({ failure: { code: "starting_failed" } });
  expect(later.inspect("may-have-run")?.status).toBe("lost");
  expect(later.inspect("waits")).toMatchObject({
    status: "init_failure",
    timeline: [{ state: "queued" }, { state: "not_started" }],
  });
  expect([later.byKey("k1")?.callId, later.byKey("k2")]).toEqual(["may-have-run", undefined]);
  await later.close();
});

test("a call that became durable while the app worked on it may have run", async () => {
  const { stream, heard } = open({}, true);
  await until(() => calls.length === 1);
  calls[0]?.start(APP);
  stream.defer();
  await until(() => heard.length > 0);
  expect(heard).toEqual(["deferred"]);
  const later = await afterKill();
  expect(later.inspect("c")?.status).toBe("lost");
  await later.close();
});

test("a request that never left frees its key, one that may have left does not", async () => {
  open({ callId: "unsent", key: "k1" }, true);
  open({ callId: "sent", key: "k2" }, true);
  await until(() => calls.length === 2);
  for (const call of calls) {
    expect(await call.recordStart()).toBe("recorded");
    call.start(APP);
  }
  calls[0]?.withdraw();
  for (const call of calls)
    call.fail({ code: "origin_error", detail: "it accepts no connections" });
  await vi.waitFor(() => expect(calls.every(({ over }) => over)).toBe(true));
  expect([durable.byKey("k1"), durable.byKey("k2")?.callId]).toEqual([undefined, "sent"]);
  const later = await afterKill();
  expect([later.byKey("k1"), later.byKey("k2")?.callId]).toEqual([undefined, "sent"]);
  await later.close();
});

test("a polite restart loses what runs alone: what waits is run by the next agent", async () => {
  const body = Buffer.alloc(50_000, "b");
  const running = open({ callId: "running", async: true }, true);
  const promised = open({ callId: "promised", async: true, target: "/ä?q" }, true, body);
  const keyed = open({ callId: "keyed", key: "k" }, true);
  await until(() => running.heard.length + promised.heard.length === 2 && calls.length === 3);
  await calls[0]?.recordStart();
  calls[0]?.start(APP);
  await table.close("the agent stops");
  await table.close("the agent stops for good");
  // Its link breaks, and it attaches to the next agent.
  expect(keyed.heard).toEqual([]);
  await durable.close();

  durable = await openDurableCalls(directory);
  table = new CallRegistry({ context: CONTEXT, durable });
  expect(table.inspect("running")?.status).toBe("lost");
  expect(["promised", "keyed"].map((callId) => table.inspect(callId)?.status)).toEqual([
    "pending",
    "pending",
  ]);
  pair.cut();
  pair = linkPair();
  const heard = attach("promised");
  calls = [];
  table.resume((endpoint) => (endpoint === "another" ? RUNNER : undefined));
  expect(calls).toEqual([]);
  table.resume((endpoint) => (endpoint === "e" ? RUNNER : undefined));
  expect(calls.map(({ callId }) => callId).toSorted()).toEqual(["keyed", "promised"]);
  const again = calls.find(({ callId }) => callId === "promised") as Call;
  expect(again.head.target).toBe("/ä?q");
  expect(again.isPromised).toBe(true);
  expect(Buffer.from(again.body.whole() ?? []).equals(body)).toBe(true);
  expect(await again.recordStart()).toBe("recorded");
  again.start(APP);
  again.respond({ status: 200, headers: [] }, false);
  again.complete();
  await until(() => heard.at(-1)?.endsWith("true") === true);
  // Nothing is run a second time by the agent after that.
  await until(() => again.over);
  const later = await afterKill();
  expect(later.takeWaiting().map(({ head }) => head.callId)).toEqual(["keyed"]);
  await later.close();
});

test("an agent that stops waits for calls that run alone, and clients of those that wait may still ask for them", async () => {
  const running = open({ callId: "running", async: true }, true);
  const promised = open({ callId: "promised", async: true }, true);
  const keyed = open({ callId: "keyed", key: "k" }, true);
  await until(() => running.heard.length + promised.heard.length === 2 && calls.length === 3);
  const [first, second, third] = calls as [Call, Call, Call];
  await first.recordStart();
  first.start(APP);
  let isIdle = false;
  const idle = table.idle().then(() => (isIdle = true));
  // The endpoint does not begin it any more.
  expect([second.over, third.over]).toEqual([true, false]);
  expect(table.list(9).calls.map(({ callId, status }) => `${callId} ${status}`)).toEqual([
    "keyed pending",
    "promised pending",
    "running running",
  ]);
  for (const call of [first, third]) {
    expect(isIdle).toBe(false);
    if (call === third) await third.recordStart();
    call.start(APP);
    call.respond({ status: 200, headers: [] }, false);
    call.complete();
    await until(() => call.over);
  }
  await idle;
  await until(() => keyed.heard.at(-1)?.endsWith("true") === true);
  await table.close("the agent stops");
  expect(table.reportStatus(["promised"])).toMatchObject([{ status: "pending" }]);
  const heard = attach("promised");
  await tick();
  expect(heard).toEqual([]);
  const later = await afterKill();
  expect(later.takeWaiting().map(({ head }) => head.callId)).toEqual(["promised"]);
  await later.close();
});

test.each([true, false])(
  "an agent that stops waits for a call that runs, though its client is between two links (followed: %s)",
  async (isFollowed) => {
    open({}, true);
    pair.exchange();
    calls[0]?.start(APP);
    pair.cut();
    pair = linkPair();
    let isIdle = false;
    void table.idle("attached", isFollowed).then(() => (isIdle = true));
    await tick();
    expect(isIdle).toBe(false);
    const { heard, events } = listener();
    const stream = pair.gateway.attach(JSON.stringify({ callId: "c", offset: 0 }), events);
    calls[0]?.respond({ status: 200, headers: [] }, false);
    calls[0]?.complete();
    await until(() => heard.length > 0);
    stream?.finish();
    await until(() => isIdle);
    expect(heard).toEqual(["head 0 true"]);
  },
);

describe("where the next agent is expected", () => {
  const BODY = Buffer.alloc(50_000, "b");

  /** The next agent of the box, after the link of this one is gone. */
  async function follow(): Promise<void> {
    await durable.close();
    pair.cut();
    durable = await openDurableCalls(directory);
    table = new CallRegistry({ context: CONTEXT, durable });
    pair = linkPair();
    calls = [];
  }

  test("calls that wait hold nobody up, and their clients get their responses there", async () => {
    const running = open({ callId: "running" }, true);
    const waiting = open({ callId: "waiting", target: "/ä?q" }, true, BODY);
    pair.exchange();
    calls[0]?.start(APP);
    let isIdle = false;
    const idle = table.idle("attached", true).then(() => (isIdle = true));
    // It comes while the agent stops.
    const late = open({ callId: "late" }, true);
    await tick();
    expect(isIdle).toBe(false);
    calls[0]?.respond({ status: 200, headers: [] }, false);
    calls[0]?.complete();
    await until(() => running.heard.length > 0);
    running.stream.finish();
    await until(() => isIdle);
    await idle;
    await table.close("the agent stops");
    pair.exchange();
    expect([waiting.heard, late.heard]).toEqual([[], []]);
    // A link that breaks now brings them here once more.
    expect(attach("waiting")).toEqual([]);

    aheadMs += 4_000;
    await follow();
    const heard = ["waiting", "late"].map((callId) => attach(callId));
    pair.exchange();
    table.resume(() => RUNNER);
    expect(calls.map(({ callId }) => callId)).toEqual(["waiting", "late"]);
    const [first, second] = calls as [Call, Call];
    expect([first.head.target, first.isDurable]).toEqual(["/ä?q", false]);
    expect(Buffer.from(first.body.whole() ?? []).equals(BODY)).toBe(true);
    for (const call of [first, second]) {
      expect(await call.recordStart()).toBe("recorded");
      call.start(APP);
      call.respond({ status: 200, headers: [] }, false);
      call.complete();
    }
    await until(() => heard.every((events) => events.at(-1)?.endsWith("true") === true));
    // Nothing of them is kept.
    const later = await afterKill();
    expect([later.takeWaiting(), later.lookup("waiting").kind]).toEqual([[], "unknown"]);
    await later.close();
  });

  test("a call whose body is on its way holds the agent up until it is whole", async () => {
    const { stream, heard } = open({}, false);
    pair.exchange();
    let isIdle = false;
    const idle = table.idle("attached", true).then(() => (isIdle = true));
    await tick();
    expect(isIdle).toBe(false);
    // Not for one that comes in the very moment: its body comes a moment later.
    table.endRunning("the agent stops");
    pair.exchange();
    expect(heard).toEqual([]);
    stream.sendData([HALF], true);
    pair.exchange();
    await idle;
    await table.close("the agent stops");
    await follow();
    table.resume(() => RUNNER);
    expect([heard, calls[0]?.body.bytes]).toEqual([["link_lost"], 2 * HALF.length]);
  });

  /** A call that waits at the next agent, and whose client has attached there. */
  async function taken(): Promise<{ call: Call; heard: string[]; stream: Stream }> {
    open({}, true, BODY);
    pair.exchange();
    await table.idle("attached", true);
    await table.close("the agent stops");
    await follow();
    table.resume(() => RUNNER);
    const { heard, events } = listener();
    const stream = pair.gateway.attach(JSON.stringify({ callId: "c", offset: 0 }), events);
    pair.exchange();
    return { call: calls[0] as Call, heard, stream: stream as Stream };
  }

  /** What an agent finds that starts after a kill of this one: the calls, and whether their clients attach. */
  async function foundAfterKill(): Promise<[string, boolean][]> {
    const later = await afterKill();
    const found = later.takeWaiting();
    await later.close();
    return found.map(({ head, attached }) => [head.callId, attached !== undefined]);
  }

  test("a call that waits survives a kill of the next agent, and one that may have begun there does not run again", async () => {
    const { call } = await taken();
    expect(await foundAfterKill()).toEqual([["c", true]]);
    expect(await call.recordStart()).toBe("recorded");
    expect(await foundAfterKill()).toEqual([]);
  });

  test("a call does not begin where the disk can't have that it does", async () => {
    const { call, heard } = await taken();
    faulty.roomBytes = 0;
    expect(await call.recordStart()).toBe("over");
    pair.exchange();
    expect(heard).toEqual(["refused no_origin"]);
    expect(log).not.toEqual([]);
    log = [];
  });

  test("a call that ends while it waits there is forgotten", async () => {
    const { stream } = await taken();
    stream.cancel();
    pair.exchange();
    await until(async () => (await foundAfterKill()).length === 0);
  });

  test("a call that waits is left once more, with its body", async () => {
    aheadMs += 4_000;
    await taken();
    await table.idle("attached", true);
    await table.close("the agent stops");
    await follow();
    table.resume(() => RUNNER);
    expect(Buffer.from(calls[0]?.body.whole() ?? []).equals(BODY)).toBe(true);
    expect(await foundAfterKill()).toEqual([["c", true]]);
  });

  test("a call whose client is sent away while it waits is as durable as any, though its file had it as another one", async () => {
    // Its file stays, since another call waits in it.
    open({ callId: "other" }, true, BODY);
    const { heard, stream } = await taken();
    stream.defer();
    pair.exchange();
    await until(() => heard.length > 0);
    expect(heard).toEqual(["deferred"]);
    expect(Object.fromEntries(await foundAfterKill())).toEqual({ c: false, other: true });
  });

  test.each([0, 1])(
    "a call that is cancelled between two agents runs nowhere (%d)",
    async (when) => {
      open({}, true, BODY);
      pair.exchange();
      await table.idle("attached", true);
      const closing = table.close("the agent stops");
      if (when === 1) await closing;
      table.cancel("c");
      await closing;
      await until(async () => (await foundAfterKill()).length === 0);
    },
  );

  test.each([true, false])(
    "a call that fails meanwhile holds nobody up, whether the agent is followed: %s",
    async (isFollowed) => {
      const { heard } = open({}, false);
      pair.exchange();
      let isIdle = false;
      void table.idle("attached", isFollowed).then(() => (isIdle = true));
      await tick();
      expect(isIdle).toBe(false);
      calls[0]?.fail({ code: "starting_failed", detail: "no" });
      pair.exchange();
      await tick();
      expect([heard, isIdle]).toEqual([["refused starting_failed"], true]);
      await table.close("the agent stops");
    },
  );

  test.each([{ key: "k" }, { async: true }])(
    "a durable call that comes in the last moment is the next agent's: %o",
    async (head) => {
      const synced = Promise.withResolvers<void>();
      faulty.syncGate = synced.promise;
      open(head, true, BODY);
      pair.exchange();
      await table.idle("attached", true);
      const closing = table.close("the agent stops");
      await tick();
      synced.resolve();
      await closing;
      expect(await foundAfterKill()).toEqual([["c", false]]);
      await follow();
      const heard = attach();
      table.resume(() => RUNNER);
      expect(Buffer.from(calls[0]?.body.whole() ?? []).equals(BODY)).toBe(true);
      await calls[0]?.recordStart();
      calls[0]?.start(APP);
      calls[0]?.respond({ status: 200, headers: [] }, false);
      calls[0]?.complete();
      await until(() => heard.at(-1)?.endsWith("true") === true);
    },
  );

  test("a durable call that the disk refuses in the last moment fails, and holds nobody up", async () => {
    const synced = Promise.withResolvers<void>();
    faulty.syncGate = synced.promise;
    faulty.failingSyncs = 9;
    const { heard } = open({ key: "k" }, true);
    pair.exchange();
    await table.idle("attached", true);
    const closing = table.close("the agent stops");
    await tick();
    synced.resolve();
    await closing;
    await until(() => heard.length > 0);
    expect(heard).toEqual(["reset no_origin"]);
    faulty.failingSyncs = 0;
    log = [];
  });

  test("of calls that the agent's end kept from beginning there is no tombstone: they may begin there", async () => {
    const tombstones = new Tombstones();
    tombstones.onWelcomed(0);
    table = new CallRegistry({ context: CONTEXT, durable, tombstones });
    open({ callId: "begun" }, true);
    open({ callId: "half" }, false);
    pair.exchange();
    calls[0]?.start(APP);
    void table.idle("attached", true);
    table.endRunning("the agent stops");
    await table.close("the agent stops");
    expect(tombstones.knownSinceMs("begun", 1000)).toBeUndefined();
    expect(tombstones.knownSinceMs("half", 1000)).toBe(1000);
  });

  test("calls that wait know their positions between the two agents", async () => {
    const callIds = ["a", "b", "c", "d"];
    for (const callId of callIds) {
      const { heard } = open({ callId, async: true }, true);
      await until(() => heard.length > 0);
    }
    const waiting = callIds.map((callId, position) => ({ callId, position, status: "pending" }));
    await table.idle("attached", true);
    await table.close("the agent stops");
    expect(table.reportStatus(callIds)).toMatchObject(waiting);
    await follow();
    expect(table.reportStatus(callIds)).toMatchObject(waiting);
    table.cancel("b");
    expect(table.reportStatus(["d"])).toMatchObject([{ position: 2 }]);
  });

  test("a call whose client is being sent away as the agent ends is the next agent's", async () => {
    const { stream, heard } = open({}, true, BODY);
    pair.exchange();
    const synced = Promise.withResolvers<void>();
    faulty.syncGate = synced.promise;
    stream.defer();
    pair.exchange();
    await until(() => calls[0]?.isDurable === true);
    await table.idle("attached", true);
    const closing = table.close("the agent stops");
    await tick();
    synced.resolve();
    await closing;
    pair.exchange();
    expect(heard.filter((event) => event !== "deferred")).toEqual([]);
    expect(await foundAfterKill()).toEqual([["c", false]]);
  });

  test("a call goes on for `on_disconnect` there as here", async () => {
    RUNNER.graceMs = Infinity;
    open({}, true);
    pair.exchange();
    await table.idle("attached", true);
    await table.close("the agent stops");
    RUNNER.graceMs = 0;
    await follow();
    const { heard, events } = listener();
    const stream = pair.gateway.attach(JSON.stringify({ callId: "c", offset: 0 }), events);
    table.resume(() => RUNNER);
    pair.exchange();
    calls[0]?.start(APP);
    stream?.cancel();
    pair.exchange();
    expect([heard, calls[0]?.over]).toEqual([[], false]);
    calls[0]?.complete();
  });

  test("a call that nobody has asked for in 30 s is not run there", async () => {
    open({}, true);
    pair.exchange();
    await table.idle("attached", true);
    await table.close("the agent stops");
    vi.useFakeTimers({ toFake: ["Date"], now: Date.now() + 31_000 });
    await follow();
    vi.useRealTimers();
    table.resume(() => RUNNER);
    expect(calls).toEqual([]);
    const heard = attach();
    pair.exchange();
    expect(heard).toEqual(["refused starting_failed"]);
  });

  test("what cannot be saved, and what has no whole body, is told so, since nobody ran it", async () => {
    const whole = open({ callId: "whole" }, true);
    const half = open({ callId: "half" }, false);
    const socket = open({ callId: "socket", websocket: "" }, true);
    pair.exchange();
    // The body may come.
    void table.idle("attached", true);
    await tick();
    faulty.roomBytes = 0;
    await table.close("the agent stops");
    pair.exchange();
    for (const { heard } of [whole, half, socket]) expect(heard).toEqual(["refused no_origin"]);
    expect(log.length).toBeGreaterThan(0);
    log = [];
  });

  test("an agent that nobody follows ends what waits", async () => {
    const { heard } = open({}, true);
    pair.exchange();
    await table.close("the agent stops");
    pair.exchange();
    expect(heard).toEqual(["refused no_origin"]);
  });
});

test("a call is as old at the next agent as at the last one", async () => {
  const { heard } = open({ async: true }, true);
  await until(() => heard.length > 0);
  vi.useFakeTimers({ toFake: ["Date"], now: Date.now() + 5_000 });
  durable.close().catch(() => undefined);
  durable = await openDurableCalls(directory);
  vi.useRealTimers();
  table = new CallRegistry({ context: CONTEXT, durable });
  const { elapsedMs = 0 } = table.inspect("c") ?? {};
  expect(elapsedMs).toBeGreaterThanOrEqual(4_900);
  expect(elapsedMs).toBeLessThan(20_000);
});

test("a call that has ended took as long as it took, whenever that is asked", async () => {
  refusal = { code: "queue_full", detail: "no room", retryAfter: 1 };
  open({}, true);
  pair.exchange();
  const openedAtMs = table.inspect("c")?.openedAtMs ?? 0;
  aheadMs += 20_000;
  const told = table.inspect("c");
  expect(told?.elapsedMs).toBeLessThan(5_000);
  expect(Math.abs((told?.openedAtMs ?? 0) + 20_000 - openedAtMs)).toBeLessThan(5_000);
});

test("a call whose start is being recorded when the agent stops has not begun, and waits for the next agent", async () => {
  const { heard } = open({ async: true }, true);
  await until(() => heard.length > 0);
  const start = calls[0]?.recordStart();
  await table.close("the agent stops");
  expect(await start).toBe("over");
  const later = await afterKill();
  expect(later.takeWaiting().map(({ head }) => head.callId)).toEqual(["c"]);
  await later.close();
});

test("a call whose client was sent away survives a kill, if it had not begun", async () => {
  const body = Buffer.alloc(50_000, "b");
  const running = open({ callId: "running", async: true }, true);
  const waiting = open({ callId: "waiting", async: true, key: "k" }, true, body);
  await until(() => running.heard.length + waiting.heard.length === 2);
  expect(await calls[0]?.recordStart()).toBe("recorded");
  const later = await afterKill();
  expect(later.inspect("running")?.status).toBe("lost");
  const [found, ...others] = later.takeWaiting();
  expect(others).toEqual([]);
  expect(found).toMatchObject({ head: { callId: "waiting" }, ttlMs: 60_000 });
  expect(Buffer.from(found?.body ?? []).equals(body)).toBe(true);
  // A request under its key joins it.
  expect(later.byKey("k")?.callId).toBe("waiting");
  await later.close();
});

test("a call under a key that has to wait survives a kill, and its client attaches to it", async () => {
  open({ key: "k" }, true);
  await until(() => calls.length === 1);
  expect(calls[0]?.park()).toBeUndefined();
  await until(() => durable.isSaved("c"));
  const later = await afterKill();
  expect(later.takeWaiting().map(({ head }) => head.key)).toEqual(["k"]);
  await later.close();
});

test("a user cancels a call that a stopping agent has saved: its clients hear of it, and the next agent knows no such call", async () => {
  const { heard } = open({ async: true }, true);
  await until(() => heard.length > 0);
  const idle = table.idle();
  const attached = attach("c");
  table.cancel("c");
  await until(() => attached.length > 0);
  expect(table.inspect("c")?.status).toBe("terminated");
  await idle;
  await table.close("the agent stops");
  const later = await afterKill();
  expect(later.takeWaiting()).toEqual([]);
  expect(later.inspect("c")?.status).toBe("terminated");
  await later.close();
});

test.each([
  ["that waited before", true],
  ["that found its place at once", false],
])("a kill finds the request of a call %s, whenever its start is withdrawn", async (_, waits) => {
  const { heard } = open({ async: true }, true);
  await until(() => calls.length === 1);
  const [call] = calls as [Call];
  if (waits) await until(() => durable.isSaved("c"));
  expect(await call.recordStart()).toBe("recorded");
  call.start(APP);
  await until(() => heard.length > 0);
  call.body.restore(call.body.whole());
  const requeue = durable.requeue.bind(durable);
  const saved: boolean[] = [];
  vi.spyOn(durable, "requeue").mockImplementation(async (callId) => {
    saved.push(durable.isSaved(callId));
    await requeue(callId);
  });
  call.withdraw();
  // The next start is recorded behind the withdrawal.
  const again = call.recordStart();
  expect(await again).toBe("recorded");
  expect(saved).toEqual([true]);
  const later = await afterKill();
  expect(later.inspect("c")?.status).toBe("lost");
  await later.close();
});

test("a promised call that could not be sent waits on, after a kill too", async () => {
  const { heard } = open({ async: true }, true);
  await until(() => heard.length > 0);
  const [call] = calls as [Call];
  expect(await call.recordStart()).toBe("recorded");
  call.start(APP);
  const taken = call.body.whole();
  call.body.restore(taken);
  call.withdraw();
  await until(() => isInJournal('"requeued"'));
  const later = await afterKill();
  expect(later.takeWaiting().map(({ body }) => body.length)).toEqual([HALF.length]);
  await later.close();
});

test("calls that wait keep their order over a kill, also one that could not be sent", async () => {
  const first = open({ callId: "first", async: true }, true);
  await until(() => calls.length === 1);
  const [call] = calls as [Call];
  expect(await call.recordStart()).toBe("recorded");
  call.start(APP);
  await until(() => first.heard.length > 0);
  // The clock has another millisecond.
  const acceptedAtMs = Date.now();
  await vi.waitFor(() => expect(Date.now()).toBeGreaterThan(acceptedAtMs));
  open({ callId: "second", async: true }, true);
  await until(() => durable.isSaved("second"));
  call.body.restore(call.body.whole());
  call.withdraw();
  await until(() => isInJournal('"requeued"'));
  const later = await afterKill();
  expect(later.takeWaiting().map(({ head }) => head.callId)).toEqual(["first", "second"]);
  await later.close();
});

test("a call that is run again has started: a kill between two runs leaves it lost, its key taken", async () => {
  const { heard } = open({ async: true, key: "k" }, true);
  await until(() => heard.length > 0);
  const [call] = calls as [Call];
  expect(await call.recordStart()).toBe("recorded");
  call.start(APP);
  expect(call.retry()).toBe(true);
  expect(call.describe()).toMatchObject({ status: "pending" });
  const between = await afterKill();
  expect(between.takeWaiting()).toEqual([]);
  expect(between.inspect("c")?.status).toBe("lost");
  expect(between.byKey("k")?.callId).toBe("c");
  await between.close();
  // Nothing is to be recorded for the second run, which another container takes than the one that was meant to.
  expect(call.recordStart()).toBeUndefined();
  call.start(APP);
  call.withdraw();
  expect(call.recordStart()).toBeUndefined();
  call.start(APP);
  call.respond({ status: 200, headers: [] }, false);
  expect(call.retry()).toBe(false);
  call.complete();
  await until(() => call.over);
  expect(call.describe().timeline.map(({ state }) => state)).toEqual([
    "queued",
    "running",
    "retrying",
    "running",
    "retrying",
    "running",
    "responding",
    "complete",
  ]);
});

/** An app had the call, and its container died. */
async function waitToRunAgain(how: Partial<RequestHead>): Promise<Call> {
  const { heard } = open(how, true);
  await until(() => heard.length > 0 || (how.async !== true && isInJournal('"c"')));
  const call = calls.at(-1) as Call;
  expect(await call.recordStart()).toBe("recorded");
  call.start(APP);
  call.body.restore(call.body.whole());
  expect(call.retry()).toBe(true);
  return call;
}

test.each([{ async: true }, { key: "k" }])(
  "a call that waits to be run again when the agent stops is run by the next agent: %j",
  async (how) => {
    await waitToRunAgain(how);
    await table.close("the agent stops");
    expect(table.inspect("c")?.status).toBe("pending");
    const later = await afterKill();
    expect(later.takeWaiting().map(({ body }) => body.length)).toEqual([HALF.length]);
    await later.close();
  },
);

test("a user cancels a call that a stopping agent has saved between two runs", async () => {
  await waitToRunAgain({ async: true });
  await table.idle();
  table.cancel("c");
  await table.close("the agent stops");
  await until(() => isInJournal('"cancelled"'));
  const later = await afterKill();
  expect(later.takeWaiting()).toEqual([]);
  expect(later.inspect("c")?.status).toBe("terminated");
  await later.close();
});

test("a call that waits to be run again and cannot be saved when the agent stops is lost, its key taken", async () => {
  await waitToRunAgain({ key: "k" });
  faulty.roomBytes = 0;
  await table.close("the agent stops");
  expect(durable.inspect("c")?.status).toBe("lost");
  expect(durable.byKey("k")?.callId).toBe("c");
  expect(log.length).toBeGreaterThan(0);
  log = [];
});

test("without room for its request a call's client is not sent away: it waits for the response", async () => {
  const { heard, stream } = open({ callId: "first", async: true }, false);
  await until(() => isInJournal("first"));
  faulty.roomBytes = 0;
  stream.sendData([HALF], true);
  await until(() => log.length > 0);
  faulty.roomBytes = Number.POSITIVE_INFINITY;
  calls[0]?.start(APP);
  calls[0]?.respond({ status: 200, headers: [] }, false);
  calls[0]?.complete();
  await until(() => heard.at(-1)?.endsWith("true") === true);
  expect(heard[0]).toMatch(/^head/);
  expect(durable.lookup("first").kind).toBe("result");
  expect(log.length).toBeGreaterThan(0);
  log = [];
});

test("what waits and cannot be saved when the agent stops has not started, and its key is free", async () => {
  open({ callId: "waiting", key: "k" }, true);
  await until(() => isInJournal("waiting"));
  await tick();
  faulty.roomBytes = 0;
  await table.close("the agent stops");
  expect(durable.inspect("waiting")?.status).toBe("init_failure");
  expect(durable.byKey("k")).toBeUndefined();
  expect(log.length).toBeGreaterThan(0);
  log = [];
});

test("a call whose body is on its way when the agent stops has not run, as its client is told", async () => {
  const { heard } = open({ key: "k" }, false);
  await until(() => isInJournal('"c"'));
  await table.close("the agent stops");
  pair.exchange();
  expect(heard).toEqual(["reset no_origin"]);
  expect(durable.byKey("k")).toBeUndefined();
});

test("a key that the box knows is not released, running or done; another one is, and begins no call", async () => {
  open({ callId: "running", key: "running" }, true);
  await until(() => calls.length === 1);
  expect(table.keys.release("running")).toBe(false);
  calls[0]?.start(APP);
  calls[0]?.respond({ status: 200, headers: [] }, true);
  calls[0]?.complete();
  await until(() => table.inspect("running")?.status === "success");
  expect(table.keys.release("running")).toBe(false);

  expect(table.keys.release("new")).toBe(true);
  const late = open({ callId: "late", key: "new" }, true);
  await until(() => late.heard.length > 0);
  expect(late.heard).toEqual(["refused no_origin"]);
  expect(calls).toHaveLength(1);
  expect(isInJournal("late")).toBe(false);
  // The gateway was told that the key is known, and the call was forgotten since.
  const joining = open({ callId: "joining", key: "forgotten", joins: true }, true);
  await until(() => joining.heard.length > 0);
  expect(joining.heard).toEqual(["refused no_origin"]);
  expect(calls).toHaveLength(1);
});

test("a key joins its call also where the endpoint is not served any more", async () => {
  const first = open({ callId: "first", key: "k" }, true);
  await until(() => calls.length === 1);
  const joining = new LinkPair({
    onOpen: (stream, text, body, end) => {
      const events = table.keys.join(stream, CARRIER, parseRequestHead(text), { body, end });
      return events ?? refuse(stream, { code: "no_origin", detail: "" });
    },
    onAttach: () => ({ ...NO_EVENTS }),
  });
  const heardUnder = (key?: string): string[] => {
    const { heard, events } = listener();
    const head = { ...HEAD, callId: "second", ...(key === undefined ? {} : { key }) };
    joining.gateway.open(JSON.stringify(head), HALF, true, events);
    return heard;
  };
  const [known, unknown, without] = [heardUnder("k"), heardUnder("other"), heardUnder()];
  await vi.waitFor(() => {
    joining.exchange();
    expect([unknown, without]).toEqual([["refused no_origin"], ["refused no_origin"]]);
  });
  calls[0]?.start(APP);
  calls[0]?.respond({ status: 200, headers: [] }, true);
  calls[0]?.complete();
  await until(() => {
    joining.exchange();
    return [first.heard, known].every((heard) => heard.at(-1)?.endsWith("true") === true);
  });
  // The response, in one frame or in two.
  expect([first.heard[0], known[0]].map((frame) => frame?.split(" ")[0])).toEqual(["head", "head"]);
  expect(calls).toHaveLength(1);
});

test("a response that had to make room keeps its key: its client is told that it is gone", async () => {
  const { heard } = open({ callId: "first", key: "k" }, true);
  await until(() => calls.length === 1);
  calls[0]?.start(APP);
  calls[0]?.respond({ status: 200, headers: [] }, false);
  calls[0]?.complete();
  await until(() => heard.at(-1)?.endsWith("true") === true && calls[0]?.over === true);
  for (let count = 0; durable.lookup("first").kind === "result"; count += 1) {
    await complete(`other-${count}`, new Uint8Array(QUOTA_BYTES / 4));
  }
  const second = open({ callId: "second", key: "k" }, true);
  await until(() => second.heard.length > 0);
  expect(second.heard).toEqual(["refused result_expired"]);
  expect(calls).toHaveLength(1);
  const later = await afterKill();
  expect(later.byKey("k")?.callId).toBe("first");
  await later.close();
});

test("a disk that is full fails what must be stored, and nothing else", async () => {
  open({ callId: "left-open", key: "left open" }, true);
  await until(() => calls.length === 1);
  await durable.accept({ callId: "due", ...REQUEST });
  await durable.end("due", FAILED, 0);
  faulty.roomBytes = 0;
  vi.useFakeTimers({ toFake: ["setInterval", "clearInterval", "Date"] });
  try {
    // An agent that starts on the full disk, and its sweeps.
    const later = await afterKill();
    expect(later.inspect("left-open")?.status).toBe("init_failure");
    vi.advanceTimersByTime(60_000);
    vi.advanceTimersByTime(60_000);
    await later.close();
  } finally {
    vi.useRealTimers();
  }
  const refused = open({ callId: "refused", key: "k" }, true);
  await until(() => refused.heard.length > 0);
  expect(refused.heard).toEqual(["reset no_origin"]);
  expect(log.length).toBeGreaterThan(0);
  expect(log.every((line) => line.includes("cannot be recorded"))).toBe(true);
  log = [];
});

test("a call whose start cannot be recorded is not given to the app, and its key is free", async () => {
  const { heard } = open({ key: "k" }, true);
  await until(() => isInJournal('"c"'));
  faulty.roomBytes = 0;
  expect(await calls[0]?.recordStart()).toBe("over");
  await until(() => heard.length > 0);
  expect(heard).toEqual(["reset no_origin"]);
  await vi.waitFor(() => expect(durable.byKey("k")).toBeUndefined());
  await until(() => calls[0]?.over === true);
  expect(log.length).toBeGreaterThan(0);
  log = [];
});

describe("a call that was to become durable on a disk without room streams after all", () => {
  /** The app answers it, and the client hears that at once. */
  async function expectStreamed(heard: readonly string[]): Promise<void> {
    calls[0]?.start(APP);
    calls[0]?.respond({ status: 200, headers: [] }, true);
    calls[0]?.append(HALF);
    await until(() => heard.length > 0);
    calls[0]?.complete();
    await until(() => heard.at(-1)?.endsWith("true") === true);
    expect(heard[0]).toMatch(/^head/);
    expect(heard.filter((event) => /deferred|reset/.test(event))).toEqual([]);
    faulty.roomBytes = Infinity;
    // What was not written is made up for with the next record.
    await durable.accept({ callId: "next", ...REQUEST });
    const later = await afterKill();
    expect(later.lookup("c")).toEqual({ kind: "unknown" });
    expect(
      log.every((line) => /cannot be recorded|wait beyond the request timeout/.test(line)),
    ).toBe(true);
    log = [];
    await later.close();
  }

  test.each([
    ["where little is left, though the journal has room", () => (faulty.leftBytes = MIB - 1)],
    ["where no more files can be opened", () => (faulty.failingReads = 1)],
  ])("%s", async (_, fill) => {
    const { stream, heard } = open({}, true);
    await until(() => calls.length === 1);
    fill();
    stream.defer();
    await until(() => log.length > 0);
    expect(calls[0]?.isDurable).toBe(false);
    expect(isInJournal('"c"')).toBe(false);
    await expectStreamed(heard);
  });

  test("where its acceptance cannot be recorded", async () => {
    const { stream, heard } = open({}, true);
    await until(() => calls.length === 1);
    faulty.roomBytes = 0;
    stream.defer();
    await until(() => log.length > 0);
    await expectStreamed(heard);
  });

  test("where acceptance and start cannot be recorded", async () => {
    const { stream, heard } = open({}, true);
    await until(() => calls.length === 1);
    faulty.roomBytes = 0;
    stream.defer();
    pair.exchange();
    while (calls[0]?.isDurable === false) await tick();
    expect(await calls[0]?.recordStart()).toBe("transient");
    await expectStreamed(heard);
  });

  test("where its request cannot be saved", async () => {
    const { stream, heard } = open({}, true);
    await until(() => calls.length === 1);
    faulty.failingWrites = 1;
    stream.defer();
    await until(() => log.length > 0);
    await until(() => calls[0]?.isDurable === false);
    await expectStreamed(heard);
  });

  test("where its start cannot be recorded after its acceptance", async () => {
    const { stream, heard } = open({}, true);
    await until(() => calls.length === 1);
    const synced = Promise.withResolvers<void>();
    faulty.syncGate = synced.promise;
    stream.defer();
    await until(() => isInJournal('"c"'));
    faulty.roomBytes = 0;
    const start = calls[0]?.recordStart();
    synced.resolve();
    expect(await start).toBe("transient");
    await expectStreamed(heard);
  });
});

test("a response that begins while the disk is looked at is sent to who waits", async () => {
  const { stream, heard } = open({}, true);
  await until(() => calls.length === 1);
  stream.defer();
  pair.exchange();
  calls[0]?.start(APP);
  calls[0]?.respond({ status: 200, headers: [] }, true);
  await durable.room.isThere();
  await tick();
  calls[0]?.complete();
  await until(() => heard.at(-1)?.endsWith("true") === true);
  expect(durable.lookup("c")).toEqual({ kind: "unknown" });
});

test("a file system that says nothing of its size has room", async () => {
  faulty.isSizeless = true;
  faulty.leftBytes = 0;
  expect(await durable.room.isThere()).toBe(true);
});

test("the pool of a call hears once that a client was told that the call goes on", async () => {
  const { stream, heard } = open({}, true);
  await until(() => calls.length === 1);
  const queued = {};
  const promised: unknown[] = [];
  calls[0]?.standsBy(
    {
      onPromised: (whose) => promised.push(whose),
      standingOf: () => undefined,
      load: { running: 0, waiting: 1, room: 0, coming: 0 },
    },
    queued,
  );
  stream.defer();
  await until(() => heard.length > 0);
  expect(promised).toEqual([queued]);
});

test("a client that says twice that it will not wait is sent away once", async () => {
  const { stream, heard } = open({}, true);
  await until(() => calls.length === 1);
  stream.defer();
  stream.defer();
  await until(() => heard.length > 0);
  await tick();
  expect(heard).toEqual(["deferred"]);
  expect(calls[0]?.isPromised).toBe(true);
});

test("who comes back while the disk is looked at waits for the response", async () => {
  const { stream } = open({}, true);
  await until(() => calls.length === 1);
  stream.defer();
  pair.exchange();
  const again = attach();
  pair.exchange();
  await durable.room.isThere();
  await tick();
  calls[0]?.start(APP);
  calls[0]?.respond({ status: 200, headers: [] }, true);
  calls[0]?.complete();
  await until(() => again.at(-1)?.endsWith("true") === true);
});

test("a call whose start cannot be recorded waits, where its client was sent away", async () => {
  const { heard } = open({ async: true }, true);
  await until(() => heard.includes("deferred"));
  faulty.roomBytes = 0;
  expect(await calls[0]?.recordStart()).toBe("no_room");
  faulty.roomBytes = Infinity;
  expect(await calls[0]?.recordStart()).toBe("recorded");
  expect(calls[0]?.over).toBe(false);
  const later = await afterKill();
  expect(later.inspect("c")?.status).toBe("lost");
  await later.close();
  log = [];
});

/** Stores a whole response under another call. */
async function complete(callId: string, body: Uint8Array): Promise<void> {
  await durable.accept({ callId, ...REQUEST });
  const head = { status: 200, headers: [] };
  const spool = durable.begin(callId, "e", head, 60_000, () => undefined);
  spool.append(body);
  await spool.complete();
  await durable.end(callId, { kind: "completed" }, 60_000);
}

test("acceptance and start of a call that need not wait share a sync", async () => {
  const syncs = faulty.syncs;
  open({ key: "k" }, true);
  pair.exchange();
  expect(await calls[0]?.recordStart()).toBe("recorded");
  expect(faulty.syncs - syncs).toBe(1);
  const later = await afterKill();
  expect(later.inspect("c")?.status).toBe("lost");
  await later.close();
});

test("a call whose acceptance cannot be recorded is not given to the app", async () => {
  faulty.roomBytes = 0;
  const { heard } = open({ key: "k" }, true);
  pair.exchange();
  expect(await calls[0]?.recordStart()).toBe("over");
  await until(() => calls[0]?.over === true);
  pair.exchange();
  expect(heard).toEqual(["reset no_origin"]);
  log = [];
});

test("a client that is sent away while its call is on its way to the app: a kill finds that it may have run", async () => {
  const { heard, stream } = open({}, true);
  pair.exchange();
  expect(calls[0]?.recordStart()).toBeUndefined();
  // Its container is connected to meanwhile.
  stream.defer();
  await until(() => isInJournal("startedAtMs"));
  const later = await afterKill();
  expect(later.takeWaiting()).toEqual([]);
  expect(later.inspect("c")?.status).toBe("lost");
  await later.close();
  calls[0]?.cancel("enough");
  await until(() => heard.length > 0);
});
