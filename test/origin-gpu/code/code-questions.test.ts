import { randomBytes } from "node:crypto";
import { setImmediate as turn } from "node:timers/promises";
import { beforeEach, expect, onTestFinished, test } from "vitest";
import { answerCodeQuestion } from "../../../origin-gpu/code/code-questions.ts";
import { CodeStore } from "../../../origin-gpu/code/code-store.ts";
import { type PackedCode, packCode } from "../../../origin-gpu/code/pack-code.ts";
import { KIB, MAX_DATA_BYTES } from "../../../routing/wire/limits.ts";
import type { Failure } from "../../../routing/wire/messages.ts";
import { NO_EVENTS, type Stream, type StreamEvents } from "../../../routing/wire/multiplexer.ts";
import { LinkPair } from "../../routing/wire/link-pair.ts";
import { temporaryDirectory } from "../../support/temporary.ts";
import { buffer } from "node:stream/consumers";
import { directoryWith } from "./directory.ts";

let store: CodeStore;
let link: LinkPair;
const logged: string[] = [];

beforeEach(async () => {
  store = await CodeStore.open({ directory: temporaryDirectory() });
  logged.length = 0;
  link = new LinkPair({
    onOpen: (stream, head, body, end) => {
      const question = JSON.parse(head) as { method: string; target: string };
      const events = answerCodeQuestion(stream, question, { body, end }, store, (line) =>
        logged.push(line),
      );
      if (events !== undefined) return events;
      stream.refuse({ code: "not_found", detail: "another question" });
      return NO_EVENTS;
    },
    onAttach: () => {
      throw new Error("a question is no call");
    },
  });
});

/** The gateway's end of one question. */
class Asked implements StreamEvents {
  readonly stream: Stream;
  head: { status: number; headers: string[] } | undefined;
  failure: Failure | undefined;
  ended = false;
  readonly received: Uint8Array[] = [];
  /** Holds back what arrives, as a slow reader does. */
  slow = false;
  #undrained = 0;

  constructor(method: string, target: string, end = true) {
    const head = JSON.stringify({ method, target });
    const stream = link.gateway.open(head, Buffer.alloc(0), end, this);
    if (stream === undefined) throw new Error("the link is full");
    this.stream = stream;
  }

  onHead(head: string, body: Uint8Array, end: boolean): void {
    this.head = JSON.parse(head) as { status: number; headers: string[] };
    this.onData(body, end);
  }

  onData(bytes: Uint8Array, end: boolean): void {
    this.received.push(Buffer.from(bytes));
    if (this.slow) this.#undrained += bytes.length;
    else this.stream.consume(bytes.length);
    this.ended ||= end;
  }

  onEnd(ending: Parameters<StreamEvents["onEnd"]>[0]): void {
    if ("failure" in ending) this.failure = JSON.parse(ending.failure) as Failure;
    this.ended = true;
  }

  read(): void {
    this.slow = false;
    this.stream.consume(this.#undrained);
  }

  get body(): Buffer {
    return Buffer.concat(this.received);
  }

  async send(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length;) {
      await until(() => this.stream.window > 0 || this.stream.closed);
      if (this.stream.closed) return;
      const part = bytes.subarray(at, at + Math.min(this.stream.window, MAX_DATA_BYTES));
      at += part.length;
      this.stream.sendData([part], at === bytes.length);
    }
  }
}

/** Lets messages pass until something holds. */
async function until(holds: () => boolean): Promise<void> {
  while (!holds()) {
    link.exchange();
    await turn();
  }
}

async function packed(): Promise<PackedCode> {
  const code = await packCode(directoryWith({ "a.bin": randomBytes(300 * KIB) }));
  onTestFinished(() => code.close());
  return code;
}

test("PUT keeps code that streams in, and says so when it is on the disk", async () => {
  const code = await packed();
  const asked = new Asked("PUT", `/code/${code.hash}`, false);
  await asked.send(await buffer(code.open()));
  await until(() => asked.ended);
  expect(asked.head).toEqual({ status: 204, headers: [] });
  expect(store.list()).toEqual([code.hash]);
});

test("PUT of something else is refused with the reason", async () => {
  const asked = new Asked("PUT", `/code/${"0".repeat(64)}`, false);
  await asked.send(await buffer((await packed()).open()));
  await until(() => asked.ended);
  expect(asked.failure).toEqual({
    code: "bad_request",
    detail: `the code does not have the hash that names it, ${"0".repeat(64)}`,
  });
  expect(store.list()).toEqual([]);
});

test("a PUT that breaks off keeps nothing", async () => {
  const code = await packed();
  const asked = new Asked("PUT", `/code/${code.hash}`, false);
  await asked.send((await buffer(code.open())).subarray(0, 100 * KIB));
  asked.stream.cancel();
  link.exchange();
  await turn();
  expect(store.list()).toEqual([]);
  const again = new Asked("PUT", `/code/${code.hash}`, false);
  await again.send(await buffer(code.open()));
  await until(() => again.ended);
  expect(store.list()).toEqual([code.hash]);
});

test("GET streams code as fast as it is read, and no faster", async () => {
  const code = await packed();
  await store.receive(code.hash, code.open());
  const asked = new Asked("GET", `/code/${code.hash}`);
  asked.slow = true;
  await until(() => asked.body.length === 64 * KIB);
  link.exchange();
  await turn();
  expect(asked.body.length).toBe(64 * KIB);
  asked.read();
  await until(() => asked.ended);
  expect(asked.head).toEqual({ status: 200, headers: ["content-length", String(code.bytes)] });
  expect(asked.body).toEqual(await buffer(code.open()));
});

test("a GET that nobody reads on is dropped, with its file", async () => {
  const code = await packed();
  await store.receive(code.hash, code.open());
  const asked = new Asked("GET", `/code/${code.hash}`);
  asked.slow = true;
  await until(() => asked.body.length === 64 * KIB);
  asked.stream.cancel();
  await until(() => link.agent.streams === 0);
  expect(logged).toEqual([]);
});

test("HEAD says whether code is there", async () => {
  const code = await packed();
  const before = new Asked("HEAD", `/code/${code.hash}`);
  await until(() => before.ended);
  expect(before.failure?.code).toBe("not_found");
  await store.receive(code.hash, code.open());
  const after = new Asked("HEAD", `/code/${code.hash}`);
  await until(() => after.ended);
  expect(after.head?.status).toBe(200);
});

test.each([
  ["GET", `/code/${"0".repeat(64)}`, "not_found"],
  ["DELETE", `/code/${"0".repeat(64)}`, "method_not_allowed"],
])("%s %s is refused: %s", async (method, target, code) => {
  const asked = new Asked(method, target);
  await until(() => asked.ended);
  expect(asked.failure?.code).toBe(code);
});

test.each(["/code/short", "/code/../../etc", `/code/${"A".repeat(64)}`, "/calls"])(
  "%s is no question for code",
  async (target) => {
    const asked = new Asked("GET", target);
    await until(() => asked.ended);
    expect(asked.failure?.detail).toBe("another question");
  },
);
