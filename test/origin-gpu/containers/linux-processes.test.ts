import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { describe, expect, onTestFinished, test } from "vitest";

import {
  groupMembers,
  listeners,
  parseSocketAddress,
  processesWithVariable,
} from "../../../origin-gpu/containers/linux-processes.ts";

describe("a socket's address in /proc/net/tcp", () => {
  test.each([
    ["0100007F:1F90", { address: "127.0.0.1", port: 8080, loopback: true }],
    ["0200007F:0001", { address: "127.0.0.2", port: 1, loopback: true }],
    ["00000000:FFFF", { address: "0.0.0.0", port: 65_535, loopback: false }],
    ["0100A8C0:0050", { address: "192.168.0.1", port: 80, loopback: false }],
    ["00000000000000000000000001000000:1F90", { address: "[::1]", port: 8080, loopback: true }],
    ["00000000000000000000000000000000:1F90", { address: "[::]", port: 8080, loopback: false }],
    ["0000000000000000FFFF00000100007F:0050", { address: "127.0.0.1", port: 80, loopback: true }],
    [
      "B80D01200000000000000000010000FF:0050",
      { address: "[2001:db8::ff00:1]", port: 80, loopback: false },
    ],
  ])("%s", (text, expected) => {
    expect(parseSocketAddress(text)).toEqual(expected);
  });
});

test("the sockets on which a process waits for connections are found", async () => {
  const server = createServer();
  onTestFinished(() => void server.close());
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  expect(listeners([process.pid])).toContainEqual({ address: "127.0.0.1", port, loopback: true });
});

test("all listening sockets are found, of both families, among any number of connections", async () => {
  const found: { address: string; port: number; loopback: boolean }[] = [];
  for (let count = 0; count < 40; count += 1) {
    const server = createServer();
    const address = count % 2 === 0 ? "127.0.0.1" : "::1";
    await new Promise<void>((resolve) => void server.listen(0, address, resolve));
    const { port } = server.address() as AddressInfo;
    const client = connect({ port, host: address });
    const [accepted] = (await once(server, "connection")) as [Socket];
    onTestFinished(() => {
      for (const socket of [client, accepted]) socket.destroy();
      server.close();
    });
    const shown = address === "::1" ? "[::1]" : address;
    found.push({ address: shown, port, loopback: true });
  }
  const listening = listeners([process.pid]);
  for (const expected of found) expect(listening).toContainEqual(expected);
});

test("processes are found by a variable of their environment", () => {
  const [name, value] = Object.entries(process.env)[0] as [string, string];
  expect(processesWithVariable(name, value)).toContain(process.pid);
  expect(processesWithVariable(name, `${value} and more`)).toEqual([]);
});

test("what is not there has no members and no sockets", () => {
  const beyondAnyPid = 2 ** 30;
  expect(groupMembers(beyondAnyPid)).toEqual([]);
  expect(listeners([beyondAnyPid])).toEqual([]);
  expect(listeners([])).toEqual([]);
});
