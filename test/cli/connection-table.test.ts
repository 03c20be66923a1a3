import { once } from "node:events";
import { createServer, connect, type AddressInfo, type Socket } from "node:net";
import { expect, test } from "vitest";
import {
  type ConnectionState,
  ConnectionTable,
  parseConnections,
} from "../../cli/gateway/connection-table.ts";

test("only rows of these ports, in states that matter", () => {
  const text = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:1F3F 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 2173427 1 00000000cdb2ba24 100 0 0 10 0
   1: 0100007F:1F3F 0100007F:AA30 01 00000000:00000000 00:00000000 00000000     0        0 1 3 00000000c44073e8
   2: 0100007F:1F3F 0100007F:AA31 08 00000000:00000000 00:00000000 00000000     0        0 2 3 00000000c44073e8
   3: 0100007F:1F3F 0100007F:AA32 06 00000000:00000000 03:00000F7C 00000000     0        0 0 3 00000000c44073e8
   4: 0100007F:1F40 0100007F:AA33 08 00000000:00000000 00:00000000 00000000     0        0 2 3 00000000c44073e8
`;
  expect(parseConnections(text, [0x1f3f], ["listening"])).toEqual(["0.0.0.0:0"]);
  expect(parseConnections(text, [0x1f3f], ["half_closed"])).toEqual(["127.0.0.1:43569"]);
  expect(parseConnections(text, [0x1f3f, 0x1f40], ["open", "half_closed"])).toEqual([
    "127.0.0.1:43568",
    "127.0.0.1:43569",
    "127.0.0.1:43571",
  ]);
  expect(parseConnections("", [1], ["open"])).toEqual([]);
});

test.each(["127.0.0.1", "::1"])("a client at %s that has closed its half is seen", async (host) => {
  const server = createServer({ allowHalfOpen: true }).listen(0, host);
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const accepted = once(server, "connection") as Promise<[Socket]>;
  const client = connect({ port, host, allowHalfOpen: true });
  await once(client, "connect");
  const [socket] = await accepted;
  const table = await ConnectionTable.find(port);
  const name = `:${client.localPort}`;
  const isIn = async (state: ConnectionState) =>
    (await table?.connections([port], [state]))?.some((row) => row.endsWith(name));
  expect(await isIn("open")).toBe(true);
  client.end();
  socket.resume();
  await once(socket, "end");
  expect(await isIn("half_closed")).toBe(true);
  socket.destroy();
  client.destroy();
  server.close();
});

test("a port where nothing listens has no table", async () => {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  expect(await ConnectionTable.find(port)).toBeUndefined();
});
