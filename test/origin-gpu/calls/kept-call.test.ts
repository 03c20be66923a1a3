/** Calls that are kept while their client is there: both ends of a link, a real table and a real disk. */
import { afterEach, beforeEach, expect, test, vi } from "vitest";

import type { Call, Exchange } from "../../../origin-gpu/calls/call.ts";
import { CallTable } from "../../../origin-gpu/calls/call-table.ts";
import { KeptCalls } from "../../../origin-gpu/calls/kept-calls.ts";
import { RingBudget } from "../../../origin-gpu/calls/replay-ring.ts";
import {
  type Failure,
  parseFailure,
  parseRequestHead,
  type RequestHead,
} from "../../../routing/wire/messages.ts";
import { temporaryDirectory } from "../../support/temporary.ts";
import { LinkPair } from "../../routing/wire/link-pair.ts";

const CARRIER = { congested: false, whenDrained: () => undefined };
const APP: Exchange = { pause: () => undefined, resume: () => undefined, abort: () => undefined };
const HALF = new Uint8Array(1000);

let kept: KeptCalls;
let pair: LinkPair;
let calls: Call[];
/** What the endpoint says to every call instead of running it. */
let refusal: Failure | undefined;
beforeEach(async () => {
  kept = await KeptCalls.open(temporaryDirectory());
  calls = [];
  refusal = undefined;
  const table = new CallTable({
    context: {
      now: () => performance.now(),
      soon: setImmediate,
      later: setImmediate,
      rings: new RingBudget(),
    },
    kept,
    log: (line) => {
      throw new Error(line);
    },
  });
  const runner = {
    resultTtlMs: 60_000,
    run: (call: Call) => {
      calls.push(call);
      if (refusal !== undefined) call.failed(refusal);
    },
  };
  pair = new LinkPair({
    onOpen: (stream, text, body, end) =>
      table.open(stream, CARRIER, parseRequestHead(text), { body, end }, runner),
    onAttach: () => {
      throw new Error("nobody attaches");
    },
  });
});
afterEach(async () => await kept.close());

/** What the gateway's end of the call has heard. */
function open(head: Partial<RequestHead>, end: boolean) {
  const heard: string[] = [];
  const whole = { call: "c", endpoint: "e", method: "POST", target: "/", headers: [], ...head };
  const stream = pair.gateway.open(JSON.stringify(whole), HALF, end, {
    onHead: (_head, body, last) => heard.push(`head ${body.length} ${last}`),
    onData: (bytes, last) => heard.push(`data ${bytes.length} ${last}`),
    onOver: (ending) => {
      const failure = "failure" in ending ? ` ${parseFailure(ending.failure).code}` : "";
      heard.push(ending.kind + failure);
    },
  });
  if (stream === undefined) throw new Error("refused");
  return { stream, heard };
}

/** Lets frames and the disk go on until this is so. */
async function until(what: () => boolean): Promise<void> {
  await vi.waitFor(() => {
    pair.exchange();
    expect(what()).toBe(true);
  });
}

test("the body of an asynchronous call arrives whole before its client is told to come back", async () => {
  const { stream, heard } = open({ async: true }, false);
  await until(() => calls.length === 1);
  expect(heard).toEqual([]);
  stream.data([HALF], true);
  await until(() => heard.length > 0);
  expect(heard).toEqual(["kept"]);
  expect(calls[0]?.body.whole()).toHaveLength(2 * HALF.length);
});

test("a call that is refused before it began is told so to its client, and its key is free", async () => {
  refusal = { code: "queue_full", detail: "full", retryAfter: 1 };
  for (const head of [{ async: true }, { key: "k" }]) {
    const { heard } = open(head, true);
    await until(() => heard.length > 0);
    expect(heard).toEqual(["reset queue_full"]);
  }
  await vi.waitFor(() => expect(kept.byKey("k")).toBeUndefined());
  expect(kept.lookup("c")).toEqual({ kind: "unknown" });
});

test("the head of a kept answer does not wait for the first byte of its body", async () => {
  const { heard } = open({ key: "k" }, true);
  await until(() => calls.length === 1);
  calls[0]?.started(APP);
  calls[0]?.answered({ status: 200, headers: [] }, false);
  await until(() => heard.length > 0);
  expect(heard).toEqual(["head 0 false"]);
  calls[0]?.chunk(HALF);
  await until(() => heard.length > 1);
  expect(heard).toEqual(["head 0 false", `data ${HALF.length} false`]);
});
