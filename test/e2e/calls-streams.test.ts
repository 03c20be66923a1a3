/** Long answers and long bodies over links that are cut and objects that are reset: whole, or said to be not. */
import { createHash } from "node:crypto";
import type { IncomingMessage } from "node:http";
import { Readable } from "node:stream";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { resetOrigin, startBox } from "../support/box.ts";
import { type CuttableProxy, startCuttableProxy } from "../support/cuttable-proxy.ts";
import { APPS, type Gateway, startGateway } from "../support/harness.ts";
import { digest, events, open, send } from "../support/http-client.ts";
import type { ManagedProcess } from "../support/processes.ts";
import { DOWNLOAD_BLOCK_BYTES, Stages, downloadBlock } from "../support/stages.ts";
import { temporaryDirectory } from "../support/temporary.ts";

const MIB = 1024 * 1024;
const SIZE = 64 * MIB;
const EVENTS = 2000;

/** Where Worker and objects share memory, the object resumes; else the Worker does, and outlives the object too. */
describe.each([
  ["one isolate", false],
  ["many isolates", true],
])("%s", (_, manyIsolates) => {
  let stages: Stages;
  let gateway: Gateway;
  let proxy: CuttableProxy;
  let agent: ManagedProcess;
  beforeAll(async () => {
    stages = await Stages.start();
    gateway = await startGateway({
      isFaulty: true,
      manyIsolates,
      flags: ["--request-timeout", "1"],
    });
    proxy = await startCuttableProxy(gateway.port);
    const place = { gateway, stateDirectory: temporaryDirectory(), throughPort: proxy.port };
    agent = await startBox(place, [
      {
        function: "web",
        web_server: ["node", `${APPS}/staged-server.ts`],
        env: { STAGES: stages.url },
        max_inputs: 100,
      },
    ]);
    await send(gateway.address(), "/events?count=1");
  });
  afterAll(async () => {
    await agent.stop();
    await proxy.close();
    await gateway.stop();
    await stages.close();
  });

  const cut = (): void => {
    expect(proxy.cut()).toBeGreaterThan(0);
  };
  const reset = async (): Promise<void> => await resetOrigin(gateway);

  /** Five cuts, or three and two resets, at equal distances on the way through a whole of this size. */
  class Faults {
    readonly #left: (() => void | Promise<void>)[] = manyIsolates
      ? [cut, reset, cut, reset, cut]
      : [cut, cut, cut, cut, cut];
    readonly #distance: number;
    #next: number;

    constructor(total: number) {
      this.#distance = total / (this.#left.length + 1);
      this.#next = this.#distance;
    }

    get left(): number {
      return this.#left.length;
    }

    /** So much has come by now. */
    async passed(amount: number): Promise<void> {
      if (amount < this.#next) return;
      this.#next += this.#distance;
      await this.#left.shift()?.();
    }
  }

  /** The response's body; the faults happen while it is read. */
  function through(faults: Faults, response: IncomingMessage): Readable {
    let passed = 0;
    return Readable.from(
      (async function* () {
        for await (const chunk of response) {
          passed += (chunk as Buffer).length;
          yield chunk as Buffer;
          await faults.passed(passed);
        }
      })(),
    );
  }

  test("2,000 events arrive once and in order at one connection through five cuts, or three and two object resets", async () => {
    const response = await open(gateway.address(), `/events?count=${EVENTS}`, {
      timeoutMs: 90_000,
    });
    const faults = new Faults(EVENTS);
    const received: number[] = [];
    for await (const event of events(response)) {
      received.push(Number(event));
      await faults.passed(received.length);
    }
    expect(faults.left).toBe(0);
    expect(received).toEqual(Array.from({ length: EVENTS }, (_, number) => number));
  });

  test("64 MiB down keep their SHA-256 through five cuts, or three and two object resets", async () => {
    const hash = createHash("sha256");
    for (let start = 0; start < SIZE; start += DOWNLOAD_BLOCK_BYTES) {
      hash.update(downloadBlock(start, SIZE));
    }
    const response = await open(gateway.address(), `/download?size=${SIZE}`, { timeoutMs: 90_000 });
    const faults = new Faults(SIZE);
    const sha256 = hash.digest("hex");
    expect(await digest(through(faults, response))).toEqual({ bytes: SIZE, sha256 });
    expect(faults.left).toBe(0);
  });

  /** A body of 64 MiB; `at` is called when about half of it has been taken. */
  function upload(atHalf: () => void | Promise<void>): Readable {
    const block = Buffer.alloc(MIB, "x");
    return Readable.from(
      (async function* () {
        for (let sent = 0; sent < SIZE; sent += MIB) {
          if (sent === SIZE / 2) await atHalf();
          yield block;
        }
      })(),
      { objectMode: false },
    );
  }

  test.each([
    ["a cut of the link", cut],
    ["a reset of the object", reset],
  ] as const)(
    "64 MiB up through %s end as upload_interrupted, and never as a short body at the app",
    async (what, fault) => {
      const key = `upload/${what}`;
      const atHalf = async () => {
        await stages.reached([key], "receiving");
        await fault();
      };
      const answer = await send(gateway.address(), `/work?key=${encodeURIComponent(key)}`, {
        method: "POST",
        body: upload(atHalf),
        timeoutMs: 30_000,
      });
      expect(answer.status).toBe(502);
      expect(answer.json()).toMatchObject({ code: "upload_interrupted" });
      expect(answer.headers["x-should-retry"]).toBe("false");
      expect(stages.executions(key)).toEqual([]);
    },
  );

  test("64 MiB up without a fault arrive whole", async () => {
    const key = "upload/whole";
    const answer = await send(gateway.address(), `/work?key=${encodeURIComponent(key)}`, {
      method: "POST",
      body: upload(() => undefined),
      timeoutMs: 30_000,
    });
    expect(answer.status).toBe(200);
    expect(stages.executions(key)).toEqual([SIZE]);
  });
});
