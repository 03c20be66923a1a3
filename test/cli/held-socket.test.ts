import { spawn } from "node:child_process";
import { once } from "node:events";
import { connect } from "node:net";
import type { Readable } from "node:stream";
import { expect, test } from "vitest";
import { holdSocket } from "../../cli/gateway/held-socket.ts";

const notice = (): void => undefined;

/** Answers one connection of the inherited socket with its pid, and ends. */
const CHILD = `
  const server = require("node:net").createServer((socket) => {
    socket.end(String(process.pid), () => process.exit(0));
  });
  server.listen({ fd: 3 });
`;

test("connections wait while nobody accepts, and each child that inherits the socket takes them", async () => {
  const held = await holdSocket("127.0.0.1", 0, notice);
  for (let round = 0; round < 2; round += 1) {
    // The kernel completes the connection; nothing accepts it yet.
    const client = connect({ port: held.port, host: "127.0.0.1" });
    await once(client, "connect");
    const child = spawn(process.execPath, ["-e", CHILD], {
      stdio: ["ignore", "inherit", "inherit", held.fd],
    });
    const [answer] = (await once(client, "data")) as [Buffer];
    expect(answer.toString()).toBe(String(child.pid));
    await once(child, "exit");
    client.destroy();
  }
  await held.close();
  const late = connect({ port: held.port, host: "127.0.0.1" });
  const [error] = (await once(late, "error")) as [NodeJS.ErrnoException];
  expect(error.code).toBe("ECONNREFUSED");
});

/** Writes to one client until the kernel takes no more, and says how much it has taken. */
const WRITER = `
import socket
server = socket.socket(fileno=3)
client, _ = server.accept()
client.settimeout(0.5)
taken = 0
try:
    while True: taken += client.send(b"x" * 65536)
except TimeoutError:
    print(taken, flush=True)
`;

test("the kernel holds little for a client that does not read, whoever accepts it", async () => {
  const held = await holdSocket("127.0.0.1", 0, notice);
  const client = connect({ port: held.port, host: "127.0.0.1" });
  client.pause();
  await once(client, "connect");
  const child = spawn("python3", ["-c", WRITER], {
    stdio: ["ignore", "pipe", "inherit", held.fd],
  });
  const [taken] = (await once(child.stdout as Readable, "data")) as [Buffer];
  client.destroy();
  await held.close();
  // Its window, and what has not been sent.
  expect(Number(taken)).toBeGreaterThan(0);
  expect(Number(taken)).toBeLessThan(1_000_000);
});

test("a port that is taken is the system's error", async () => {
  const held = await holdSocket("127.0.0.1", 0, notice);
  await expect(holdSocket("127.0.0.1", held.port, notice)).rejects.toMatchObject({
    code: "EADDRINUSE",
  });
  await held.close();
});
