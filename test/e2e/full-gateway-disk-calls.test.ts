/**
 * Calls of each kind that are under way while the gateway's disk fills: whether the box dials again there, or the gateway
 * is killed and starts on the full disk, each of them runs once, and its client gets its answer. The gateway takes the
 * room that it keeps again when there is some.
 */
import { statSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";

import { startBox } from "../support/box.ts";
import { CallClient } from "../support/call-client.ts";
import { type CuttableProxy, startCuttableProxy } from "../support/cuttable-proxy.ts";
import { APPS, type Gateway, startGateway } from "../support/harness.ts";
import type { ManagedProcess } from "../support/processes.ts";
import { mountSmallDisk, type SmallDisk } from "../support/small-disk.ts";
import { Stages } from "../support/stages.ts";
import { temporaryDirectory } from "../support/temporary.ts";

const OPTIONS = { flags: ["--request-timeout", "1"] };
const BODY = "question";
const KINDS = ["keyed", "redirected", "asynchronous"] as const;
const MAX_INPUTS = 20;

/** The room that the gateway keeps, and half a minute in which it takes it again. */
const RESERVE_BYTES = 8 * 1024 * 1024;
const PATIENCE = { timeout: 60_000 };

const FAULTS = {
  "its box dials again": async () => {
    expect(proxy.cut()).toBe(1);
    await Promise.resolve();
  },
  "it is killed and starts again": async () => {
    gateway.process.killTree();
    await gateway.process.exited;
    const { port, stateDirectory } = gateway;
    gateway = await startGateway({ ...OPTIONS, port, stateDirectory });
  },
};

let disk: SmallDisk | undefined;
let gateway: Gateway;
let proxy: CuttableProxy;
let agent: ManagedProcess;
let stages: Stages;

beforeAll(async () => {
  disk = mountSmallDisk(64 * 1024);
  if (disk === undefined) return;
  stages = await Stages.start();
  gateway = await startGateway({ ...OPTIONS, stateDirectory: join(disk.path, "state") });
  proxy = await startCuttableProxy(gateway.port);
  const place = { gateway, stateDirectory: temporaryDirectory(), throughPort: proxy.port };
  agent = await startBox(place, [
    {
      function: "web",
      web_server: ["node", join(APPS, "staged-server.ts")],
      env: { STAGES: stages.url },
      max_inputs: MAX_INPUTS,
    },
  ]);
});
afterAll(async () => {
  if (disk === undefined) return;
  await agent.stop();
  await proxy.close();
  await gateway.stop();
  await stages.close();
  disk.unmount();
});

/** Begins a call of each kind. */
function begin(name: string): CallClient[] {
  return KINDS.map((kind) => {
    const key = `${name}/${kind}`;
    const headers: Record<string, string> = {};
    if (kind === "keyed") headers["idempotency-key"] = key;
    if (kind === "asynchronous") headers["prefer"] = "respond-async";
    return new CallClient(gateway.address(), key, { headers, body: BODY });
  });
}

/** Begins calls that the app holds while it works on them. All but the keyed one are redirected. */
async function beginHeld(name: string): Promise<CallClient[]> {
  const keys = KINDS.map((kind) => `${name}/${kind}`);
  for (const key of keys) stages.hold(key, "running");
  const clients = begin(name);
  await stages.reached(keys, "running");
  await Promise.all(clients.map(({ sentOn }) => sentOn));
  return clients;
}

/** Bytes of the room that the gateway keeps. */
function reservedBytes(): number {
  const reserve = join(gateway.stateDirectory, "reserve");
  return statSync(reserve, { throwIfNoEntry: false })?.size ?? 0;
}

/** A client whose connection went with the gateway asks again. */
async function outcomeOf(client: CallClient): Promise<string | undefined> {
  const outcome = await client.outcome;
  return outcome === "broken" ? await client.comeBack(BODY) : outcome;
}

test.for(Object.entries(FAULTS))(
  "on a full disk calls of each kind run once and are answered where %s",
  { timeout: 180_000 },
  async ([fault, come], context) => {
    if (disk === undefined) {
      context.skip("needs the right to mount a tmpfs");
      return;
    }
    const name = fault.replaceAll(" ", "-");
    const complete = begin(`${name}/complete`);
    for (const client of complete) expect(await client.outcome, client.key).toBe("answer");
    const running = await beginHeld(`${name}/running`);

    disk.fill();
    await come();
    const later = begin(`${name}/later`);
    for (const client of later) expect(await outcomeOf(client), client.key).toBe("answer");
    for (const { key } of running) stages.release(key);
    for (const client of running) expect(await outcomeOf(client), client.key).toBe("answer");
    // Each of them also has its answer when it comes back.
    for (const client of [...complete, ...running, ...later]) {
      const again = await client.comeBack(BODY);
      if (again !== undefined) expect(again, client.key).toBe("answer");
      expect(stages.executions(client.key), client.key).toEqual([BODY.length]);
    }

    disk.clear();
    await expect.poll(reservedBytes, PATIENCE).toBe(RESERVE_BYTES);
    for (const client of begin(`${name}/after`)) {
      expect(await outcomeOf(client), client.key).toBe("answer");
      expect(stages.executions(client.key), client.key).toEqual([BODY.length]);
    }
  },
);
