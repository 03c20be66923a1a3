/** Clients that stop taking their response, or sending their body, while others wait for the one place that they hold. */
import { connect, type Socket } from "node:net";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { type Gateway, startUp, webServer } from "../support/harness.ts";
import { send } from "../support/http-client.ts";

const STALL_TIMEOUT_S = 1;
/** More than all buffers on its way. */
const LARGE_BYTES = 100_000_000;
/** From the stall to the next call's response, on a machine that does other things. */
const SOON_MS = 10_000;

let gateway: Gateway;
beforeAll(async () => {
  const one = { max_inputs: 1, stall_timeout: STALL_TIMEOUT_S };
  gateway = await startUp([
    webServer({ function: "wanted", ...one }),
    webServer({ function: "upload", ...one }),
    webServer({ function: "alone", ...one }),
  ]);
  for (const name of ["wanted", "upload", "alone"]) await send(gateway.address(name), "/json");
});
afterAll(async () => {
  await gateway.stop();
});

/** Sends this text, and reads nothing until it is told to. */
async function silentClient(functionName: string, text: string): Promise<Socket> {
  const { port, host } = gateway.address(functionName);
  const socket = connect({ port, host: "127.0.0.1" });
  socket.on("error", () => undefined);
  onTestFinished(() => void socket.destroy());
  socket.pause();
  socket.write(text.replace("HOST", host));
  await new Promise((resolve) => {
    socket.once("readable", resolve);
    if (text.startsWith("POST")) resolve(undefined);
  });
  return socket;
}

/** Reads what is left; resolves with the number of bytes. */
async function drain(socket: Socket): Promise<number> {
  let bytes = 0;
  socket.on("data", (chunk: Buffer) => (bytes += chunk.length));
  socket.resume();
  await new Promise((resolve) => {
    socket.once("close", resolve);
  });
  return bytes;
}

const download = `GET /download?size=${LARGE_BYTES} HTTP/1.1\r\nHost: HOST\r\nConnection: close\r\n\r\n`;

test("a client that takes nothing of its response is cut while another waits, and only then", async () => {
  const late = await silentClient("alone", download);
  const stalled = await silentClient("wanted", download);
  const startedAtMs = performance.now();
  const next = await send(gateway.address("wanted"), "/json");
  expect(next.status).toBe(200);
  const tookMs = performance.now() - startedAtMs;
  expect(tookMs).toBeGreaterThan(STALL_TIMEOUT_S * 500);
  expect(tookMs).toBeLessThan(SOON_MS);
  expect(await drain(stalled)).toBeLessThan(LARGE_BYTES);
  // Nobody waited behind this one, which took nothing for as long.
  expect(await drain(late)).toBeGreaterThan(LARGE_BYTES);
});

test("a client that sends no more of its body is cut while another waits", async () => {
  const stalled = await silentClient(
    "upload",
    "POST /upload HTTP/1.1\r\nHost: HOST\r\nContent-Length: 90000\r\n\r\nabc",
  );
  const answer: string[] = [];
  stalled.on("data", (chunk: Buffer) => answer.push(chunk.toString()));
  stalled.resume();
  // The first ones may come before it has the place.
  while (answer.length === 0) {
    expect((await send(gateway.address("upload"), "/json")).status).toBe(200);
  }
  expect(answer.join("")).toMatch(/^HTTP\/1\.1 502 [^]*upload_interrupted/);
});
