/** Clients that ask for a large response and read none of it: what the kernel and the gateway's processes hold for them. */
import { readFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { type Gateway, startGateway, startServe, webServer } from "../support/harness.ts";
import { type Address, send } from "../support/http-client.ts";
import { memoryBytes } from "../support/processes.ts";

const KIB = 1024;
const MIB = 1024 * KIB;
const READERS = 50;
const RESPONSE_BYTES = 4 * MIB;
/**
 * For each client. The kernel takes 128 KiB and the piece that crosses this bound, and behind the front it does so twice:
 * 300 KiB. Without the bound it takes nearly all of the response.
 */
const MOST_UNSENT_BYTES = 512 * KIB;
/** With what the front has not read, and the memory of the gateway's processes: up to 2.7 MiB, and 4.7 without the bound. */
const MOST_BYTES = 3.5 * MIB;
/** Nothing moves any more when this many looks in a row see the same. */
const STILL = 5;

/** The queues of a TCP connection of this machine, as /proc/net/tcp has them. */
interface Queues {
  readonly localPort: number;
  readonly remotePort: number;
  readonly unsent: number;
  readonly unread: number;
}

type Queued = Pick<Queues, "unsent" | "unread">;

function connections(): Queues[] {
  const lines = ["tcp", "tcp6"].flatMap((table) => {
    return readFileSync(`/proc/net/${table}`, "latin1").trim().split("\n").slice(1);
  });
  return lines.map((line) => {
    const [, local = "", remote = "", , queues = ""] = line.trim().split(/\s+/);
    const [unsent = 0, unread = 0] = queues.split(":").map((text) => Number.parseInt(text, 16));
    const [localPort = 0, remotePort = 0] = [local, remote].map((text) => {
      return Number.parseInt(text.split(":")[1] ?? "", 16);
    });
    return { localPort, remotePort, unsent, unread };
  });
}

/** What the kernel holds for the gateway's clients, without what it holds for the clients themselves. */
function queuedBytes({ port, workerdPort }: Pick<Gateway, "port" | "workerdPort">): Queued {
  const queued = { unsent: 0, unread: 0 };
  for (const { localPort, remotePort, unsent, unread } of connections()) {
    if ([port, workerdPort].includes(localPort)) queued.unsent += unsent;
    else if (remotePort === workerdPort) queued.unread += unread;
  }
  return queued;
}

function kib(bytes: number): string {
  return `${Math.round(bytes / READERS / KIB)} KiB`;
}

async function slowReader({ port, host }: Address): Promise<Socket> {
  const socket = connect({ port, host: "127.0.0.1" });
  socket.on("error", () => undefined);
  onTestFinished(() => void socket.destroy());
  socket.pause();
  socket.write(`GET /download?size=${RESPONSE_BYTES} HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
  await new Promise((resolve) => void socket.once("readable", resolve));
  return socket;
}

/** Resolves when the last few looks saw the same. */
async function untilStill(look: () => number): Promise<void> {
  let seen: number[] = [];
  const different = (): number => {
    seen = [...seen, look()].slice(-STILL);
    return seen.length < STILL ? STILL : new Set(seen).size;
  };
  await expect.poll(different, { interval: 200, timeout: 30_000 }).toBe(1);
}

test.each(["never", "always"])(
  "a client that reads nothing holds little of the gateway's machine: --front %s",
  async (front) => {
    const gateway = await startGateway({ flags: ["--rate-limit", "0", "--front", front] });
    onTestFinished(async () => await gateway.stop());
    const box = await startServe(
      gateway,
      [webServer({ function: "large" }), webServer({ function: "small" })],
      gateway.workerdPort,
    );
    onTestFinished(async () => void (await box.stop()));
    const [large, small] = ["large", "small"].map((name) => gateway.address(name, "-dev")) as [
      Address,
      Address,
    ];
    for (const address of [large, small]) await send(address, "/json");
    const { port, workerdPort, workerdPid } = gateway;
    const held = () => ({
      ...queuedBytes({ port, workerdPort }),
      processes: memoryBytes([gateway.process.pid, workerdPid]),
    });
    const before = held();
    for (let reader = 0; reader < READERS; reader += 1) await slowReader(large);
    await untilStill(() => held().unsent + held().unread);
    const now = held();
    const unsent = now.unsent - before.unsent;
    const all = unsent + now.unread - before.unread + now.processes - before.processes;
    console.log(`a client holds ${kib(unsent)} unsent, with all else ${kib(all)}`);
    expect(unsent / READERS).toBeLessThan(MOST_UNSENT_BYTES);
    expect(all / READERS).toBeLessThan(MOST_BYTES);
    expect((await send(small, "/json")).status).toBe(200);
  },
  60_000,
);
