/** workerd at the clients' port: slow clients, many clients, addresses, and the end. */
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { startGateway } from "../support/harness.ts";
import { RawConnection } from "../support/raw-http.ts";
import { temporaryDirectory } from "../support/temporary.ts";
import { startPosternGateway } from "./postern.ts";

/** workerd's limit for a whole head, with some time for a busy machine. */
const HEAD_LIMIT_MS = 15_000;
const PATIENCE_MS = 15_000;

const DESCRIPTORS = 200;
const TOO_MANY = 300;

async function health(port: number): Promise<number> {
  const client = await RawConnection.connect(port);
  client.send(
    `GET /api/v1/health HTTP/1.1\r\nHost: localhost:${port}\r\nConnection: close\r\n\r\n`,
  );
  const { status } = await client.response();
  client.socket.destroy();
  return status;
}

describe.concurrent("clients that send no whole head", () => {
  test.each([
    ["nothing", ""],
    ["a part of a head", "GET / HTTP/1.1\r\nHos"],
  ])("%s: the connection ends after 15 s", { timeout: 60_000 }, async (_what, bytes) => {
    const { port } = await startPosternGateway();
    const client = await RawConnection.connect(port);
    if (bytes !== "") client.send(bytes);
    const openedMs = performance.now();
    await client.ending(HEAD_LIMIT_MS + PATIENCE_MS);
    expect(performance.now() - openedMs).toBeGreaterThan(HEAD_LIMIT_MS - 1_000);
  });
});

test("more connections than descriptors: the log is bounded, and the gateway serves when they have gone", async () => {
  const gateway = await startGateway({ descriptors: DESCRIPTORS });
  const strangers: Socket[] = [];
  for (let index = 0; index < TOO_MANY; index += 1) {
    const socket = connect({ port: gateway.port, host: "127.0.0.1" }).on("error", () => undefined);
    socket.write("GET / HTTP/1.1\r\n");
    strangers.push(socket);
  }
  // workerd closes those that it has no descriptor for.
  await Promise.race(strangers.map(async (socket) => await once(socket, "close")));
  for (const socket of strangers) socket.destroy();
  const deadline = performance.now() + PATIENCE_MS;
  let status = 0;
  while (status !== 200 && performance.now() < deadline) {
    status = await health(gateway.port).catch(() => 0);
    if (status !== 200) await delay(50);
  }
  expect(status).toBe(200);
  expect(gateway.process.stderr.split("\n").length).toBeLessThan(50);
  await gateway.stop();
});

test("a gateway that is asked to end closes idle connections at once, and its port", async () => {
  const { process: gateway, port } = await startPosternGateway();
  const idle = await RawConnection.connect(port);
  idle.send(`GET /api/v1/health HTTP/1.1\r\nHost: localhost:${port}\r\n\r\n`);
  expect((await idle.response()).status).toBe(200);
  const askedMs = performance.now();
  process.kill(gateway.pid, "SIGTERM");
  await gateway.exited;
  expect(performance.now() - askedMs).toBeLessThan(5_000);
  const late = connect({ port, host: "127.0.0.1" });
  const [error] = (await once(late, "error")) as [NodeJS.ErrnoException];
  expect(error.code).toBe("ECONNREFUSED");
});

test.runIf(process.platform === "linux").each(["never", "always"])(
  "without perl and python3 the start says once that clients that do not read hold more: --front %s",
  async (front) => {
    const flags = ["--front", front];
    const { process: gateway } = await startPosternGateway(flags, {
      env: { PATH: temporaryDirectory() },
    });
    const said = gateway.stderr.match(
      /warning: neither perl nor python3 could limit what the kernel holds/g,
    );
    expect(said).toHaveLength(1);
  },
);
