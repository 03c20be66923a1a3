/** Status events of real calls: their place and their end, through what breaks, for as many as watch. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { resetOrigin, startBox } from "../support/box.ts";
import { type CuttableProxy, startCuttableProxy } from "../support/cuttable-proxy.ts";
import { APPS, type Gateway, startGateway } from "../support/harness.ts";
import { events, open, send } from "../support/http-client.ts";
import type { ManagedProcess } from "../support/processes.ts";
import { Stages } from "../support/stages.ts";
import { temporaryDirectory } from "../support/temporary.ts";

interface StatusEvent {
  readonly call_id: string;
  readonly status: string;
  readonly position: number;
  readonly eta_seconds: number | null;
  readonly elapsed_seconds: number;
}

let stages: Stages;
let gateway: Gateway;
let proxy: CuttableProxy;
let agent: ManagedProcess;
beforeAll(async () => {
  stages = await Stages.start();
  gateway = await startGateway({ isFaulty: true, flags: ["--rate-limit", "0"] });
  proxy = await startCuttableProxy(gateway.workerdPort);
  const place = { gateway, throughPort: proxy.port, stateDirectory: temporaryDirectory() };
  const server = { web_server: ["node", `${APPS}/staged-server.ts`], env: { STAGES: stages.url } };
  agent = await startBox(place, [{ function: "one", ...server, max_inputs: 1 }]);
});
afterAll(async () => {
  await agent.stop();
  await proxy.close();
  await gateway.stop();
  await stages.close();
});

/** Begins an asynchronous call. */
async function begin(key: string): Promise<{ id: string; events: string; accepted: StatusEvent }> {
  const headers = { prefer: "respond-async" };
  const options = { method: "POST", body: "question", headers };
  const answer = await send(gateway.address("one"), `/work?key=${key}`, options);
  const accepted = answer.json() as StatusEvent & { events_url: string };
  const url = new URL(accepted.events_url);
  return { id: accepted.call_id, events: url.pathname + url.search, accepted };
}

/** Watches a call. */
async function watch(path: string) {
  const heard: StatusEvent[] = [];
  const response = await open(gateway.address("one"), path, { timeoutMs: 60_000 });
  const over = (async () => {
    for await (const event of events(response)) {
      const data = /^data: (.*)$/m.exec(event)?.[1];
      if (data !== undefined) heard.push(JSON.parse(data) as StatusEvent);
    }
  })();
  // It may break off before anybody asks for its end.
  over.catch(() => undefined);
  return { heard, over };
}

const SOON = { timeout: 20_000 };

test("a call that waits is followed from its place to its end, through a cut link", async () => {
  for (const key of ["first", "second", "third"]) stages.hold(key, "running");
  await begin("first");
  await stages.reached(["first"], "running", 60_000);
  await begin("second");
  const third = await begin("third");
  expect(third.accepted).toMatchObject({ status: "pending", position: 1 });
  const watched = await watch(third.events);
  const another = await watch(third.events);
  await expect.poll(() => watched.heard.length, SOON).toBe(1);
  expect(watched.heard[0]).toMatchObject({ call_id: third.id, status: "pending", position: 1 });

  stages.release("first");
  await expect.poll(() => watched.heard.at(-1)?.position, SOON).toBe(0);
  // The first one has been measured: the response of a call that waits is expected at a time.
  expect(watched.heard.at(-1)?.eta_seconds).toBeGreaterThan(0);
  proxy.cut();
  stages.release("second");
  await expect.poll(() => watched.heard.at(-1)?.status, SOON).toBe("running");
  stages.release("third");
  await Promise.all([watched.over, another.over]);
  for (const { heard } of [watched, another]) {
    expect(heard.at(-1)).toMatchObject({ call_id: third.id, status: "success", position: 0 });
  }
});

test("a watcher whose object was reset comes back, and hears what it missed", async () => {
  stages.hold("reset", "running");
  const call = await begin("reset");
  await stages.reached(["reset"], "running");
  const watched = await watch(call.events);
  await resetOrigin(gateway);
  await expect(watched.over).rejects.toThrow();
  stages.release("reset");
  const again = await watch(call.events);
  await again.over;
  expect(again.heard.at(-1)).toMatchObject({ status: "success" });
});

test("a call that has ended has its last event at once, and a stranger's token none", async () => {
  const call = await begin("ended");
  await (
    await watch(call.events)
  ).over;
  const late = await watch(call.events);
  await late.over;
  expect(late.heard).toMatchObject([{ status: "success" }]);
  const forged = await send(gateway.address("one"), `${call.events.slice(0, -4)}AAAA`);
  expect(forged.status).toBe(404);
});
