/** Accepted calls that an earlier agent left waiting: the next one runs them, whatever it has no room for. */
import { createServer, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, expect, onTestFinished, test } from "vitest";
import { GIB } from "../../../base/units.ts";
import { SILENT } from "../../../base/observer.ts";
import { BodySpools } from "../../../origin-gpu/calls/body-spool.ts";
import type { Call } from "../../../origin-gpu/calls/call.ts";
import { CallRegistry } from "../../../origin-gpu/calls/call-registry.ts";
import { SharedRoom } from "../../../origin-gpu/calls/shared-room.ts";
import { RequestBody } from "../../../origin-gpu/calls/request-body.ts";
import { RingBudget } from "../../../origin-gpu/calls/response/replay-ring.ts";
import { DurableCalls } from "../../../origin-gpu/calls/store/durable-calls.ts";
import { TokenCalls } from "../../../origin-gpu/core/token-calls.ts";
import { temporaryDirectory } from "../../support/temporary.ts";
import { FaultyFiles } from "../calls/store/faulty-files.ts";
import { endpointConfig } from "../containers/endpoint.ts";
import { endpointOf, open, PATIENCE, StandInCall } from "./stand-in-call.ts";

/** More than waits in memory, and more than one part. */
const BODY = Buffer.alloc(100_000, "The next agent runs it. ");
const CALLER = { token: "t", most: 1 };

let server: Server;
let received: Buffer[];
let held: ServerResponse | undefined;
let directory: string;

/** Answers, once it has the body; /held is answered by a test. */
beforeEach(async () => {
  received = [];
  held = undefined;
  server = createServer((request, response) => {
    if (request.url === "/held") held = response;
    else
      void request.toArray().then((parts: Buffer[]) => {
        received.push(Buffer.concat(parts));
        response.end("done");
      });
  });
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  directory = temporaryDirectory();
  await leaveWaiting();
});
afterEach(() => server.close());

/** An agent has accepted a call, and ends before its turn. */
async function leaveWaiting(): Promise<void> {
  const durable = await DurableCalls.open({ directory, observer: SILENT });
  const headers = ["content-length", `${BODY.length}`];
  const about = { callId: "c", endpoint: "e", method: "POST" };
  const head = { ...about, target: "/", headers, async: true, caller: CALLER };
  await durable.accept({ ...about, path: "/" });
  await durable.save({ head, ttlMs: 60_000 }, new RequestBody(undefined, BODY, true));
  await durable.close();
}

/** @param heads the room for those of calls that wait */
async function nextAgent(heads = new SharedRoom(GIB)): Promise<CallRegistry> {
  const durable = await DurableCalls.open({ directory, observer: SILENT });
  onTestFinished(async () => await durable.close());
  const context = {
    now: () => performance.now(),
    soon: setImmediate,
    later: setImmediate,
    aMoment: () => undefined,
    rings: new RingBudget(),
    heads,
    observer: SILENT,
  };
  return new CallRegistry({ context, durable });
}

interface Lack {
  heads?: SharedRoom;
  bodies?: Omit<Parameters<typeof BodySpools.open>[0], "directory">;
  token?: boolean;
}

const fullDisk = new FaultyFiles();
fullDisk.roomBytes = 0;

test.each<[string, Lack]>([
  ["its disk is full", { bodies: { limitBytes: 1e9, files: fullDisk.files } }],
  ["others' bodies have taken the room", { bodies: { limitBytes: 1000 } }],
  ["others' heads have taken the room", { heads: new SharedRoom(1) }],
  ["its token has as many calls as it may", { token: true }],
])("an accepted call waits for its turn at the next agent where %s", async (_, lack) => {
  const { port } = server.address() as AddressInfo;
  const url = `http://127.0.0.1:${port}`;
  const settings = endpointConfig({ kind: { type: "upstream", url }, maxInputs: 1 });
  const bodies =
    lack.bodies && (await BodySpools.open({ directory: temporaryDirectory(), ...lack.bodies }));
  const tokenCalls = new TokenCalls<Call>();
  if (lack.token === true) {
    tokenCalls.enter(new StandInCall("/other").asCall, CALLER.token, CALLER.most);
  }
  const { endpoint } = endpointOf(settings, { bodies, tokenCalls });
  const calls = await nextAgent(lack.heads);
  open(endpoint, settings, new StandInCall("/held"));
  await expect.poll(() => held, PATIENCE).toBeDefined();
  calls.resume(() => endpoint.runner(settings, 0));
  expect(calls.inspect("c")?.status).toBe("pending");
  expect(endpoint.activity.waiting).toBe(1);
  held?.end();
  await expect.poll(() => calls.inspect("c")?.status, PATIENCE).toBe("success");
  expect(received.map((body) => body.equals(BODY))).toEqual([true]);
});
