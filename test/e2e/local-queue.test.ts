/**
 * Calls that go from the Worker to its object by memory: each wait goes on in the request that waited,
 * however often it was done and whoever left meanwhile. What V8 makes of the code when it is hot is what
 * matters, so it runs hot here.
 */
import { writeFileSync } from "node:fs";
import { type Socket, connect } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";

import { bundleWorker } from "../../cli/gateway/bundle.ts";
import { WORKERD_BINARY } from "../support/bare-workerd.ts";
import { ManagedProcess } from "../support/processes.ts";
import { freePort, temporaryDirectory } from "../support/temporary.ts";

const CALLS = 80_000;
const CONNECTIONS = 32;
const LEAVERS = 4;
/** So many calls for each that leaves: on a slow machine those that leave would take all of its time. */
const CALLS_PER_LEAVER = 10;

let port: number;
let workerd: ManagedProcess;
beforeAll(async () => {
  const directory = temporaryDirectory();
  port = await freePort();
  const root = fileURLToPath(new URL("../..", import.meta.url));
  const worker = await bundleWorker(root, "test/gateway/local-queue-worker.ts");
  writeFileSync(join(directory, "worker.js"), worker);
  const config = `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [(name = "main", worker = .main)],
  sockets = [(name = "main", address = "127.0.0.1:${port}", http = (), service = "main")],
);
const main :Workerd.Worker = (
  modules = [(name = "worker.js", esModule = embed "worker.js")],
  compatibilityDate = "2026-11-01",
  compatibilityFlags = ["enable_request_signal"],
  bindings = [(name = "OBJECT", durableObjectNamespace = "Answerer")],
  durableObjectNamespaces = [(className = "Answerer", uniqueKey = "answerer", enableSql = true)],
  durableObjectStorage = (inMemory = void),
);`;
  writeFileSync(join(directory, "config.capnp"), config);
  const file = join(directory, "config.capnp");
  workerd = new ManagedProcess([WORKERD_BINARY, "serve", "--control-fd=1", file]);
  await workerd.waitForOutput(/"event":"listen"/);
});
afterAll(async () => await workerd.kill());

const requestOf = (id: string) =>
  `POST / HTTP/1.1\r\nHost: tests\r\nX-Id: ${id}\r\nContent-Length: ${id.length}\r\n\r\n${id}`;

/** The status and body of the one answer in these bytes; undefined while it is not whole. */
function answerIn(bytes: string): { status: number; body: string } | undefined {
  const end = bytes.indexOf("\r\n\r\n");
  const length = Number(/content-length: *(\d+)/i.exec(bytes)?.[1] ?? 0);
  const body = bytes.slice(end + 4);
  if (end === -1 || body.length < length) return undefined;
  return { status: Number(bytes.slice(9, 12)), body };
}

/** Calls one after the other over one connection; counts what each got. */
async function calls(next: () => string | undefined, outcomes: Map<string, number>): Promise<void> {
  const socket = connect({ port, host: "127.0.0.1", noDelay: true });
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  let id: string | undefined;
  let pending = "";
  const ask = (): void => {
    id = next();
    if (id === undefined) socket.end(resolve);
    else socket.write(requestOf(id));
  };
  socket.on("connect", ask);
  socket.on("error", reject);
  socket.on("data", (chunk: Buffer) => {
    pending += chunk.toString("latin1");
    const answer = answerIn(pending);
    if (answer === undefined) return;
    pending = "";
    const { status, body } = answer;
    const outcome = status === 200 && body === id ? "its own answer" : `${status} ${body}`;
    outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
    ask();
  });
  await promise;
}

/** Clients that leave at any time of their calls, as many as are due, until they are told to stop. */
function leaver(isOver: () => boolean, isDue: () => boolean): void {
  if (isOver()) return;
  if (!isDue()) {
    setTimeout(leaver, 1, isOver, isDue);
    return;
  }
  const socket: Socket = connect({ port, host: "127.0.0.1", noDelay: true });
  socket.on("error", () => undefined);
  socket.write(requestOf("leaver"));
  setTimeout(() => {
    socket.resetAndDestroy();
    leaver(isOver, isDue);
  }, Math.random() * 5);
}

test("80,000 calls get their own answers in their own context, while others leave", async () => {
  const outcomes = new Map<string, number>();
  // The first call finds no queue, and makes the object publish one.
  await calls(() => (outcomes.size === 0 ? "first" : undefined), outcomes);
  outcomes.clear();
  let asked = 0;
  const next = (): string | undefined => (asked < CALLS ? `call-${(asked += 1)}` : undefined);
  let over = false;
  let left = 0;
  const isDue = (): boolean => {
    const due = left * CALLS_PER_LEAVER < asked;
    if (due) left += 1;
    return due;
  };
  for (let index = 0; index < LEAVERS; index += 1) leaver(() => over, isDue);
  await Promise.all(Array.from({ length: CONNECTIONS }, () => calls(next, outcomes)));
  over = true;
  const own = outcomes.get("its own answer") ?? 0;
  outcomes.delete("its own answer");
  // Of a machine that stood still for 100 ms: the call was not opened, or the Worker has to claim it.
  for (const slow of ["503 not_opened", "503 running", "503 not opened"]) outcomes.delete(slow);
  expect(Object.fromEntries(outcomes)).toEqual({});
  expect(own).toBeGreaterThan(CALLS * 0.9);
  expect(workerd.stderr).not.toMatch(/on behalf of a different/);
  // Ten seconds on a quiet machine.
}, 300_000);
