import { randomBytes } from "node:crypto";
import { setImmediate as turn } from "node:timers/promises";
import { beforeEach, expect, onTestFinished, test } from "vitest";
import { KIB } from "../../../base/units.ts";
import { codeOperations } from "../../../origin-gpu/code/code-operations.ts";
import { serveOperation } from "../../../origin-gpu/link/operation-server.ts";
import { type AgentOperations, operationHandlers } from "../../../origin-gpu/operations.ts";
import { parseOpenHead } from "../../../routing/wire/heads.ts";
import { CodeStore } from "../../../origin-gpu/code/code-store.ts";
import { type PackedCode, packCode } from "../../../origin-gpu/code/pack-code.ts";
import { MAX_DATA_BYTES } from "../../../routing/wire/limits.ts";
import type { Failure } from "../../../routing/wire/messages.ts";
import { NO_EVENTS, type Stream, type StreamEvents } from "../../../routing/wire/multiplexer.ts";
import { LinkPair } from "../../routing/wire/link-pair.ts";
import { temporaryDirectory } from "../../support/temporary.ts";
import { buffer } from "node:stream/consumers";
import { directoryWith } from "./directory.ts";

let store: CodeStore;
let link: LinkPair;
const logged: string[] = [];

const NO_CONTAINERS = { containers: [], stopContainer: () => false };

const NO_CALLS: AgentOperations["calls"] = {
  list: () => ({ calls: [], next: undefined }),
  inspect: () => undefined,
  cancel: () => undefined,
  reportStatus: () => [],
  keys: { release: () => true },
};

beforeEach(async () => {
  store = await CodeStore.open({ directory: temporaryDirectory() });
  logged.length = 0;
  link = new LinkPair({
    onOpen: (stream, text, body, end) => {
      const head = parseOpenHead(text);
      if (!("operation" in head)) throw new Error("a call is no operation");
      const handlers = operationHandlers({
        isDraining: () => false,
        calls: NO_CALLS,
        workspace: "local",
        box: "gpu-1",
        apps: { find: () => undefined, activity: [], ...NO_CONTAINERS },
        logs: { read: () => undefined },
        deployments: {
          ...codeOperations(store, (line) => logged.push(line)),
          refreshAssignments: () => NO_EVENTS,
          refreshShares: () => NO_EVENTS,
        },
      });
      return serveOperation(head, { stream, body, end }, handlers);
    },
    onAttach: () => {
      throw new Error("an operation is no call");
    },
  });
});

/** The gateway's end of one operation. */
class Asked implements StreamEvents {
  readonly stream: Stream;
  head: { status: number; headers: string[] } | undefined;
  failure: Failure | undefined;
  ended = false;
  readonly received: Uint8Array[] = [];
  /** Holds back what arrives, as a slow reader does. */
  slow = false;
  #undrained = 0;

  constructor(operation: string, hash: string, end = true) {
    const head = JSON.stringify({ operation, parameters: { hash } });
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

test("putCode keeps code that streams in, and says so when it is on the disk", async () => {
  const code = await packed();
  const asked = new Asked("putCode", code.hash, false);
  await asked.send(await buffer(code.open()));
  await until(() => asked.ended);
  expect(asked.head).toEqual({ status: 204, headers: [] });
  expect(store.list()).toEqual([code.hash]);
});

test("putCode of something else is refused with the reason", async () => {
  const asked = new Asked("putCode", "0".repeat(64), false);
  await asked.send(await buffer((await packed()).open()));
  await until(() => asked.ended);
  expect(asked.failure).toEqual({
    code: "bad_request",
    detail: `the code does not have the hash that names it, ${"0".repeat(64)}`,
  });
  expect(store.list()).toEqual([]);
});

test("a putCode that breaks off keeps nothing", async () => {
  const code = await packed();
  const asked = new Asked("putCode", code.hash, false);
  await asked.send((await buffer(code.open())).subarray(0, 100 * KIB));
  asked.stream.cancel();
  link.exchange();
  await turn();
  expect(store.list()).toEqual([]);
  const again = new Asked("putCode", code.hash, false);
  await again.send(await buffer(code.open()));
  await until(() => again.ended);
  expect(store.list()).toEqual([code.hash]);
});

test("getCode streams code as fast as it is read, and no faster", async () => {
  const code = await packed();
  await store.receive(code.hash, code.open());
  const asked = new Asked("getCode", code.hash);
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

test("a getCode that nobody reads on is dropped, with its file", async () => {
  const code = await packed();
  await store.receive(code.hash, code.open());
  const asked = new Asked("getCode", code.hash);
  asked.slow = true;
  await until(() => asked.body.length === 64 * KIB);
  asked.stream.cancel();
  await until(() => link.agent.streams === 0);
  expect(logged).toEqual([]);
});

test("hasCode says whether code is there", async () => {
  const code = await packed();
  const before = new Asked("hasCode", code.hash);
  await until(() => before.ended);
  expect(before.failure?.code).toBe("not_found");
  await store.receive(code.hash, code.open());
  const after = new Asked("hasCode", code.hash);
  await until(() => after.ended);
  expect(after.head?.status).toBe(204);
});

test("getCode of code that the box lacks is refused", async () => {
  const asked = new Asked("getCode", "0".repeat(64));
  await until(() => asked.ended);
  expect(asked.failure?.code).toBe("not_found");
});

test.each([
  ["getCode", "short", "bad_request"],
  ["getCode", "../../etc", "bad_request"],
  ["hasCode", "A".repeat(64), "bad_request"],
  ["removeCode", "0".repeat(64), "not_supported"],
  ["constructor", "0".repeat(64), "not_supported"],
])("%s of %s is refused: %s", async (operation, hash, code) => {
  const asked = new Asked(operation, hash);
  await until(() => asked.ended);
  expect(asked.failure?.code).toBe(code);
});
