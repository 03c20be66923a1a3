/** The order in which an agent starts, and that a start which is given up leaves nothing behind. */
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { mkdirSync } from "node:fs";
import { open } from "node:fs/promises";
import { type AddressInfo, createServer, type Server } from "node:net";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { SILENT } from "../../base/observer.ts";
import { startAgent } from "../../origin-gpu/agent.ts";
import { temporaryDirectory } from "../support/temporary.ts";

let server: Server;

beforeEach(async () => {
  server = createServer((socket) => socket.on("error", () => undefined));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
});
afterEach(() => void server.close());

function options(stateDirectory: string) {
  return {
    gatewayUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    enrolment: { workspace: "w", box: "b", serial: "s", key: "A".repeat(43), audience: "a" },
    stateDirectory,
    observer: SILENT,
  };
}

test("an agent dials while it still reads what an earlier one stored", async () => {
  const directory = temporaryDirectory();
  mkdirSync(join(directory, "results"));
  // Reading it lasts until somebody writes: the largest pack there is.
  const pack = join(directory, "results", "000000000001.pack");
  execFileSync("mkfifo", [pack]);
  const stopping = new AbortController();
  const dialled = once(server, "connection");
  const started = startAgent(options(directory), stopping.signal);
  started.catch(() => undefined);
  try {
    await dialled;
  } finally {
    stopping.abort(new Error("given up"));
    await (await open(pack, "w")).close();
  }
  await expect(started).rejects.toThrow("given up");
});

test("a start that is given up ends its dial, and does not dial again", async () => {
  const stopping = new AbortController();
  const dialled = once(server, "connection");
  const started = startAgent(options(temporaryDirectory()), stopping.signal);
  const [socket] = (await dialled) as [import("node:net").Socket];
  const ended = once(socket, "close");
  stopping.abort(new Error("given up"));
  await expect(started).rejects.toThrow("given up");
  socket.resume();
  await ended;
});
