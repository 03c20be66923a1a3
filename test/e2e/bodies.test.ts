/** 1 GiB in each direction: the same bytes, and memory that does not grow with them. */
import { createHash } from "node:crypto";
import { Readable } from "node:stream";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import {
  APPS,
  type EndpointTable,
  type Gateway,
  startGateway,
  startServe,
  webServer,
} from "../support/harness.ts";
import { digest, open, send } from "../support/http-client.ts";
import { type ManagedProcess, memoryBytes } from "../support/processes.ts";
import { ensureVenv } from "../support/venv.ts";

const MIB = 1024 * 1024;
const BYTES = 1024 * MIB;
/** A process on a busy machine collects its garbage late; a body that anything kept would be 1 GiB. */
const MAX_GROWTH_BYTES = 192 * MIB;
const TRANSFER_TIMEOUT_MS = 90_000;

/** The block that both apps repeat in a download is their own; this one is the upload's. */
const BLOCK = createHash("shake256", { outputLength: MIB }).update("upload").digest();

function uploadBody(): Readable {
  let sent = 0;
  return new Readable({
    highWaterMark: MIB,
    read() {
      sent += BLOCK.length;
      this.push(BLOCK);
      if (sent === BYTES) this.push(null);
    },
  });
}

const uploadDigest = () => {
  const hash = createHash("sha256");
  for (let sent = 0; sent < BYTES; sent += BLOCK.length) hash.update(BLOCK);
  return hash.digest("hex");
};

const apps: readonly (readonly [string, () => Promise<EndpointTable>])[] = [
  [
    "FastAPI",
    async () => ({
      function: "web",
      asgi: "fastapi_app:app",
      directory: APPS,
      python: await ensureVenv(),
      max_inputs: 100,
    }),
  ],
  ["a plain web server", async () => await Promise.resolve(webServer())],
];

describe.each(apps)("%s", (_name, endpoint) => {
  let gateway: Gateway;
  let agent: ManagedProcess;
  beforeAll(async () => {
    gateway = await startGateway();
    agent = await startServe(gateway, [await endpoint()]);
    await send(address(), "/json", { timeoutMs: 60_000 });
  });
  afterAll(async () => {
    await agent.stop();
    await gateway.stop();
  });
  const address = () => gateway.address("web", "-dev");

  /** Runs a transfer twice and returns by how much each process grew in the second. */
  async function growthOfSecond(transfer: () => Promise<void>): Promise<Record<string, number>> {
    const measured = { workerd: gateway.workerdPid, front: gateway.process.pid, agent: agent.pid };
    const memory = () =>
      Object.entries(measured).map(([name, pid]) => [name, memoryBytes([pid])] as const);
    await transfer();
    const before = Object.fromEntries(memory());
    const startedMs = performance.now();
    await transfer();
    const seconds = (performance.now() - startedMs) / 1000;
    const growth = Object.fromEntries(
      memory().map(([name, bytes]) => [name, bytes - (before[name] ?? 0)]),
    );
    const grown = Object.entries(growth).map(
      ([name, bytes]) => `${name} ${Math.round(bytes / MIB)} MiB`,
    );
    console.log(`${Math.round(BYTES / MIB / seconds)} MiB/s; second transfer: ${grown.join(", ")}`);
    return growth;
  }

  test("1 GiB goes up with its digest and without memory", async () => {
    const expected = uploadDigest();
    const growth = await growthOfSecond(async () => {
      const answer = await send(address(), "/upload", {
        method: "POST",
        headers: { "content-length": String(BYTES) },
        body: uploadBody(),
        timeoutMs: TRANSFER_TIMEOUT_MS,
      });
      expect(answer.json()).toEqual({ bytes: BYTES, sha256: expected });
    });
    expect(Math.max(...Object.values(growth))).toBeLessThan(MAX_GROWTH_BYTES);
  }, 240_000);

  test("1 GiB comes down with its digest and without memory", async () => {
    const block = (await send(address(), `/download?size=${MIB}`)).body;
    const hash = createHash("sha256");
    for (let sent = 0; sent < BYTES; sent += block.length) hash.update(block);
    const expected = { bytes: BYTES, sha256: hash.digest("hex") };
    const growth = await growthOfSecond(async () => {
      const response = await open(address(), `/download?size=${BYTES}`, {
        timeoutMs: TRANSFER_TIMEOUT_MS,
      });
      expect(await digest(response)).toEqual(expected);
    });
    expect(Math.max(...Object.values(growth))).toBeLessThan(MAX_GROWTH_BYTES);
  }, 240_000);
});
