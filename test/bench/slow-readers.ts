/**
 * What clients hold that ask for a response and do not read it, and what other requests feel of them: the kernel's memory
 * of TCP, the memory of workerd and agent, and the p50 of a short request before them and beside them.
 *
 *   node test/bench/slow-readers.ts [--readers 400] [--mebibytes 4] [--front never|always]
 */
import { readFileSync } from "node:fs";
import type { Socket } from "node:net";
import { join } from "node:path";
import { parseArgs } from "node:util";

import { memoryOf, startBox } from "../support/box.ts";
import { APPS, startGateway } from "../support/harness.ts";
import { send } from "../support/http-client.ts";
import { type ManagedProcess, memoryBytes } from "../support/processes.ts";
import { temporaryDirectory } from "../support/temporary.ts";
import { dial, head } from "./load/connection.ts";

const { values: flags } = parseArgs({
  options: {
    readers: { type: "string", default: "400" },
    mebibytes: { type: "string", default: "4" },
    front: { type: "string", default: "never" },
  },
});

const MIB = 1024 * 1024;
const REQUESTS = 200;
/** Buffers are full by then, on a busy machine too. */
const REST_MS = 8_000;

const sleep = async (milliseconds: number): Promise<void> =>
  await new Promise((resolve) => setTimeout(resolve, milliseconds));

/** The memory of all TCP sockets of this machine, in bytes: what others have in it changes little meanwhile. */
function kernelBytes(): number {
  const pages = /^TCP:.* mem (\d+)/m.exec(readFileSync("/proc/net/sockstat", "latin1"))?.[1];
  return Number(pages) * 4096;
}

const gateway = await startGateway({ flags: ["--rate-limit", "0", "--front", flags.front] });
const started: ManagedProcess[] = [gateway.process];
const readers: Socket[] = [];
try {
  const place = {
    gateway,
    throughPort: gateway.workerdPort,
    stateDirectory: temporaryDirectory(),
    links: 2,
  };
  const web = ["node", join(APPS, "web-server.ts")];
  const agent = await startBox(place, [
    { function: "large", web_server: web, max_inputs: 100_000 },
    { function: "small", web_server: web, max_inputs: 100 },
  ]);
  started.push(agent);
  const small = gateway.address("small");
  const p50 = async (): Promise<number> => {
    const times: number[] = [];
    for (let request = 0; request < REQUESTS; request += 1) {
      const begunAt = performance.now();
      await send(small, "/json");
      times.push(performance.now() - begunAt);
    }
    return times.toSorted((one, other) => one - other)[REQUESTS / 2] as number;
  };
  const held = async (time: number) => {
    const { heapUsed, external } = await memoryOf(agent, time);
    return [kernelBytes(), memoryBytes([gateway.workerdPid]), heapUsed + external] as const;
  };
  // The containers are there before anything is measured.
  for (const name of ["large", "small"]) await send(gateway.address(name), "/json");
  await p50();
  const before = { p50: await p50(), held: await held(1) };
  const target = gateway.address("large");
  const path = `GET /download?size=${Number(flags.mebibytes) * MIB}`;
  for (let reader = 0; reader < Number(flags.readers); reader += 1) {
    const socket = await dial(target);
    socket.on("error", () => undefined);
    socket.pause();
    socket.write(head(target, path));
    readers.push(socket);
  }
  await sleep(REST_MS);
  const beside = { held: await held(2), p50: await p50() };
  const [kernel, workerd, box] = beside.held.map(
    (bytes, index) => `${Math.round((bytes - (before.held[index] as number)) / MIB)} MiB`,
  );
  console.log(
    `${flags.readers} readers of ${flags.mebibytes} MiB hold ${kernel} of the kernel, ${workerd} of workerd, ` +
      `${box} of the agent; p50 of others ${before.p50.toFixed(1)} ms before, ${beside.p50.toFixed(1)} ms beside them`,
  );
} finally {
  for (const reader of readers) reader.destroy();
  for (const one of started.toReversed()) one.killTree();
}
