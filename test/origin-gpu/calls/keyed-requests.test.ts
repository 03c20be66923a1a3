/** A second request under a key, while the first one's body or its own is on its way: a link, a registry and a disk. */
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { GIB, KIB, MIB } from "../../../base/units.ts";
import { SILENT } from "../../../base/observer.ts";
import type { Call } from "../../../origin-gpu/calls/call.ts";
import { CallRegistry } from "../../../origin-gpu/calls/call-registry.ts";
import { MAX_FINGERPRINTED_BYTES } from "../../../origin-gpu/calls/fingerprint.ts";
import { SharedRoom } from "../../../origin-gpu/calls/shared-room.ts";
import { RingBudget } from "../../../origin-gpu/calls/response/replay-ring.ts";
import { DurableCalls } from "../../../origin-gpu/calls/store/durable-calls.ts";
import { parseRequestHead } from "../../../routing/wire/heads.ts";
import { parseAttach, parseFailure } from "../../../routing/wire/messages.ts";
import type { Stream, StreamEvents } from "../../../routing/wire/multiplexer.ts";
import { temporaryDirectory } from "../../support/temporary.ts";
import { LinkPair } from "../../routing/wire/link-pair.ts";

const CARRIER = { congested: false, whenDrained: () => undefined };
const NO_BODY = new Uint8Array(0);
const HALF = new Uint8Array(1000);
const PART = new Uint8Array(64 * KIB).fill(7);
const CONTEXT = {
  now: () => performance.now(),
  soon: setImmediate,
  later: setImmediate,
  aMoment: () => undefined,
  rings: new RingBudget(),
  heads: new SharedRoom(GIB),
  observer: SILENT,
};

let durable: DurableCalls;
let pair: LinkPair;
let calls: Call[];

beforeEach(async () => {
  durable = await DurableCalls.open({ directory: temporaryDirectory(), observer: SILENT });
  calls = [];
  const registry = new CallRegistry({ context: CONTEXT, durable });
  const runner = { resultTtlMs: 60_000, run: (call: Call) => void calls.push(call) };
  pair = new LinkPair({
    onOpen: (stream, text, body, end) =>
      registry.open(stream, CARRIER, parseRequestHead(text), { body, end }, runner),
    onAttach: (stream, text) => registry.attach(stream, CARRIER, parseAttach(text)),
  });
});
afterEach(async () => await durable.close());

function hearing(heard: string[]): StreamEvents {
  return {
    onHead: (_head, bytes, end) => heard.push(`head ${bytes.length} ${end}`),
    onData: (bytes, end) => heard.push(`data ${bytes.length} ${end}`),
    onEnd: (ending) => {
      const failure = "failure" in ending ? ` ${parseFailure(ending.failure).code}` : "";
      heard.push(ending.kind + failure);
    },
  };
}

/** A request under one key, with what its client hears. */
function open(callId: string, body: Uint8Array = NO_BODY): { stream: Stream; heard: string[] } {
  const heard: string[] = [];
  const head = { callId, endpoint: "e", method: "POST", target: "/", headers: [], key: "k" };
  const stream = pair.gateway.open(JSON.stringify(head), body, false, hearing(heard));
  if (stream === undefined) throw new Error("refused");
  return { stream, heard };
}

function isAnswered({ heard }: { heard: readonly string[] }): boolean {
  return heard[0]?.startsWith("head") === true && heard.at(-1)?.endsWith("true") === true;
}

/** Frames arrive, and who waited for them has gone on. */
async function exchange(): Promise<void> {
  pair.exchange();
  await new Promise(setImmediate);
}

/** Sends a body of this length to its end, a whole window at a time. */
async function upload(stream: Stream, length: number): Promise<void> {
  let sent = 0;
  for (let waits = 0; sent < length; waits += 1) {
    if (waits === 1_000) throw new Error(`the upload stalls after ${sent} bytes`);
    while (stream.room > 0 && sent < length) {
      const bytes = Math.min(stream.room, PART.length, length - sent);
      sent += bytes;
      stream.sendData([PART.subarray(0, bytes)], sent === length);
      waits = 0;
    }
    await exchange();
  }
}

async function until(what: () => boolean): Promise<void> {
  await vi.waitFor(() => {
    pair.exchange();
    expect(what()).toBe(true);
  });
}

test("the body of a second request is dropped, whether the first one's call runs or has ended", async () => {
  const length = MAX_FINGERPRINTED_BYTES + MIB;
  const first = open("first");
  await until(() => calls.length === 1);
  const [call] = calls as [Call];
  const mayReadOn = Promise.withResolvers<void>();
  let read = 0;
  const reading = (async () => {
    for await (const { length: bytes } of call.body.chunks()) {
      read += bytes;
      if (read >= length - PART.length) await mayReadOn.promise;
    }
  })();
  await upload(first.stream, length);

  const second = open("second");
  await upload(second.stream, length);
  mayReadOn.resolve();
  await reading;
  expect(read).toBe(length);
  expect(durable.byKey("k")?.fingerprint?.length).toBe(length);

  call.start({ pause: () => undefined, resume: () => undefined, abort: () => undefined });
  call.respond({ status: 200, headers: [] }, false);
  call.complete();
  await until(() => isAnswered(first) && isAnswered(second) && call.over);
  const third = open("third");
  await upload(third.stream, length);
  await until(() => isAnswered(third));
});

test("a client that stops waiting while its request is compared with the first one is sent away", async () => {
  const first = open("first", HALF);
  await until(() => calls.length === 1);
  const second = open("second", HALF);
  second.stream.sendData([HALF], true);
  second.stream.defer();
  await exchange();
  expect(second.heard).toEqual([]);
  first.stream.sendData([HALF], true);
  await until(() => second.heard.length > 0);
  expect(second.heard).toEqual(["deferred"]);
  expect(first.heard).toEqual([]);
});

test("a later request under a key finds the call that it joined again, by the key", async () => {
  const first = open("first");
  first.stream.sendData([HALF], true);
  await until(() => calls.length === 1);
  const second = open("second", HALF);
  second.stream.sendData([], true);
  await exchange();
  const attached = (name: object): string[] => {
    const heard: string[] = [];
    pair.gateway.attach(JSON.stringify({ ...name, offset: 400 }), hearing(heard));
    return heard;
  };
  const again = attached({ callId: "second", key: "k" });
  const stranger = attached({ callId: "second", key: "another" });
  const nameless = attached({ callId: "second" });
  await until(() => stranger.length > 0 && nameless.length > 0);
  expect([stranger, nameless]).toEqual([["refused call_lost"], ["refused call_lost"]]);
  const [call] = calls as [Call];
  call.start({ pause: () => undefined, resume: () => undefined, abort: () => undefined });
  call.respond({ status: 200, headers: [] }, false);
  call.append(HALF);
  call.complete();
  await until(() => isAnswered({ heard: again }));
  const lengths = again.map((event) => Number(event.split(" ")[1]));
  expect(lengths.reduce((sum, length) => sum + length)).toBe(600);
});
