/**
 * A disk that flips bits while the box is off: one bit in each file of a used state directory, round after round. The
 * agent starts, no call runs twice, no wrong answer is served, and nothing is lost but what ran when the agent was
 * killed.
 */
import { randomInt } from "node:crypto";
import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";

import { startBox } from "../support/box.ts";
import { CallClient } from "../support/call-client.ts";
import { APPS, type Gateway, startGateway } from "../support/harness.ts";
import { send } from "../support/http-client.ts";
import type { ManagedProcess } from "../support/processes.ts";
import { Stages } from "../support/stages.ts";
import { temporaryDirectory } from "../support/temporary.ts";

const ROUNDS = 4;
const MAX_INPUTS = 4;
/** Files of each kind are there in each round. */
const KINDS = ["journal", ".pack", ".result", ".requests"];
/** Files whose content nobody reads, or that another test flips bits in (test/cli/box.test.ts). */
const LEFT_ALONE = /^(?:lock|identity\.json)$|\.damaged$/;

let stages: Stages;
let gateway: Gateway;
let agent: ManagedProcess;
const stateDirectory = temporaryDirectory();

beforeAll(async () => {
  stages = await Stages.start();
  gateway = await startGateway({ flags: ["--request-timeout", "1"] });
  await startAgent();
});
afterAll(async () => {
  await agent.stop();
  await gateway.stop();
  await stages.close();
});

async function startAgent(): Promise<void> {
  agent = await startBox({ gateway, stateDirectory, throughPort: gateway.port }, [
    {
      function: "web",
      web_server: ["node", join(APPS, "staged-server.ts")],
      env: { STAGES: stages.url },
      max_inputs: MAX_INPUTS,
    },
  ]);
}

/** Flips one bit in each file, and returns what it did, for the message of a failure. */
function flip(): string[] {
  const names = readdirSync(stateDirectory, { recursive: true }) as string[];
  return names.toSorted().flatMap((name) => {
    const path = join(stateDirectory, name);
    if (LEFT_ALONE.test(name) || !statSync(path).isFile()) return [];
    const content = readFileSync(path);
    if (content.length === 0) return [];
    const bit = randomInt(8 * content.length);
    content[bit >> 3] = (content[bit >> 3] as number) ^ (1 << (bit & 7));
    writeFileSync(path, content);
    return [`${name}: bit ${bit} of ${8 * content.length}`];
  });
}

const keyed = (key: string) =>
  new CallClient(gateway.address(), key, {
    headers: { "idempotency-key": key },
    body: "question",
  });
const asynchronous = (key: string) =>
  new CallClient(gateway.address(), key, {
    headers: { prefer: "respond-async" },
    body: "question",
  });

/** A small stored response, which shares a file; the staged server's other answers are large. */
async function small(key: string): Promise<{ status: number | undefined; text: string }> {
  const { status, text } = await send(gateway.address(), `/chat/completions?key=${key}`, {
    method: "POST",
    headers: { "idempotency-key": key },
    body: "question",
    timeoutMs: 20_000,
  });
  return { status, text };
}

/** How the calls end for clients that come back. */
async function outcomesOf(clients: readonly CallClient[]): Promise<string[]> {
  const ends = clients.map(async (client) => `${client.key}: ${await client.comeBack("question")}`);
  return await Promise.all(ends);
}

test("a flipped bit in each file of the state directory doubles no call, and loses and falsifies no answer", async () => {
  const kept: CallClient[] = [];
  const killed: CallClient[] = [];
  const answers = new Map<string, string>();
  const told: string[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    // Complete ones, small and large, and ones that wait for their turn.
    const done = [keyed(`keyed-${round}`), asynchronous(`async-${round}`)];
    for (const { outcome } of done) expect(await outcome).toBe("answer");
    const { status, text } = await small(`small-${round}`);
    expect(status).toBe(200);
    answers.set(`small-${round}`, text);
    const blockers = Array.from({ length: MAX_INPUTS }, (_, index) => `blocker-${round}-${index}`);
    for (const key of blockers) stages.hold(key, "running");
    const running = blockers.map(keyed);
    await stages.reached(blockers, "running");
    const queued = [asynchronous(`waits-${round}`), asynchronous(`waits-too-${round}`)];
    await Promise.all(queued.map(async ({ sentOn }) => await sentOn));
    kept.push(...done, ...queued);
    killed.push(...running);

    await agent.kill();
    const flipped = flip();
    for (const kind of KINDS) expect(flipped.join(", ")).toContain(kind);
    for (const key of blockers) stages.release(key);
    await startAgent();

    const where = `after ${flipped.join(", ")}`;
    expect(await outcomesOf(kept), where).toEqual(kept.map(({ key }) => `${key}: answer`));
    expect(await outcomesOf(killed), where).toEqual(killed.map(({ key }) => `${key}: call_lost`));
    for (const { key } of [...kept, ...killed]) expect(stages.executions(key), key).toHaveLength(1);
    for (const [key, answer] of answers) {
      expect((await small(key)).text, flipped.join(", ")).toBe(answer);
      expect(stages.executions(key), key).toHaveLength(1);
    }
    told.push(agent.stderr);
  }
  // A bit of the journal is mended, and its file put aside, in each round.
  expect(told.filter((text) => /journal/.test(text))).toHaveLength(ROUNDS);
  for (const kind of [".pack", ".result"]) {
    expect(told.filter((text) => text.includes(`${kind} were mended: 1`))).toHaveLength(ROUNDS);
  }
  expect(told.join("")).not.toMatch(/responses are lost|do not run/);
}, 120_000);
