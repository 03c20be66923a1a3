/** A flood of WebSockets ends no other connection: the gateway refuses them before workerd has no descriptor left. */
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";

import { ROOT, startGateway, startServe, startUp } from "../support/harness.ts";
import { type Address, send } from "../support/http-client.ts";
import { OPCODE } from "../../origin-gpu/websocket/frames.ts";
import { ClientSocket } from "../support/websocket-client.ts";
import { maskedFrame } from "../support/websocket-frames.ts";

/** Answers requests, and sends each message of a WebSocket back. */
const APP = join(ROOT, "test/bench/app.ts");
const DESCRIPTORS = 1_024;
/** Each keeps four of workerd's descriptors: more than these do not fit. One workspace gets less than half of them. */
const MOST = DESCRIPTORS / 4;
const LEAST = DESCRIPTORS / 12;
const AT_A_TIME = 8;

/** Opens WebSockets until there are `MOST`, or until some have been refused. Returns the statuses of those. */
async function flood(address: Address, opened: ClientSocket[]): Promise<number[]> {
  const refused: number[] = [];
  while (opened.length < MOST && refused.length < 3 * AT_A_TIME) {
    const batch = Array.from({ length: AT_A_TIME }, async () => {
      const socket = await ClientSocket.connect(address, "/");
      if (socket.response.status === 101) opened.push(socket);
      else refused.push(socket.response.status);
    });
    await Promise.all(batch);
  }
  return refused;
}

test("workerd lives through them also while the command gets no time to count its descriptors", async () => {
  const gateway = await startGateway({
    descriptors: DESCRIPTORS,
    flags: ["--rate-limit", "0", "--front", "never"],
  });
  onTestFinished(async () => await gateway.stop());
  const box = await startServe(gateway, [
    { function: "web", web_server: ["node", APP], max_inputs: 5_000 },
  ]);
  onTestFinished(async () => void (await box.stop()));
  const address = gateway.address("web", "-dev");
  const opened: ClientSocket[] = [];
  onTestFinished(() => opened.forEach((socket) => socket.reset()));
  const workerd = gateway.workerdPid;
  expect((await send(address, "/")).status).toBe(200);
  process.kill(gateway.process.pid, "SIGSTOP");
  onTestFinished(() => void process.kill(gateway.process.pid, "SIGCONT"));
  expect(new Set(await flood(address, opened))).toEqual(new Set([503]));
  expect(opened.length).toBeGreaterThan(LEAST);
  expect((await send(address, "/")).status).toBe(200);
  process.kill(gateway.process.pid, "SIGCONT");
  expect(gateway.workerdPid).toBe(workerd);
}, 120_000);

test.each([["never"], ["always"]])(
  "workerd lives through more WebSockets than it has descriptors for; with --front %s other requests are served",
  async (front) => {
    const postern = await startUp(
      [{ function: "web", web_server: ["node", APP], max_inputs: 5_000 }],
      { descriptors: DESCRIPTORS, flags: ["--rate-limit", "0", "--front", front] },
    );
    onTestFinished(async () => await postern.stop());
    const workerd = postern.workerdPid;
    const opened: ClientSocket[] = [];
    onTestFinished(() => opened.forEach((socket) => socket.reset()));
    expect(new Set(await flood(postern.address(), opened))).toEqual(new Set([503]));
    expect(opened.length).toBeGreaterThan(LEAST);
    expect(postern.workerdPid).toBe(workerd);
    // Those that were there go on, and other requests are served.
    const message = maskedFrame({ opcode: OPCODE.text, payload: Buffer.from("still here") });
    for (const socket of opened) {
      await socket.send(message);
      expect(await socket.awaitMessage("still here")).toBe(true);
    }
    expect((await send(postern.address(), "/")).status).toBe(200);

    for (const socket of opened.splice(0)) socket.reset();
    await expect
      .poll(
        async () => {
          const socket = await ClientSocket.connect(postern.address(), "/");
          opened.push(socket);
          return socket.response.status;
        },
        { timeout: 20_000 },
      )
      .toBe(101);
  },
  120_000,
);
