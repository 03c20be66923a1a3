import { expect, test } from "vitest";

import { OpenWebSockets } from "../../../../gateway/worker/edge/open-websockets.ts";

test("a WebSocket counts until a list of connections is without it", () => {
  const sockets = new OpenWebSockets();
  sockets.add("192.0.2.1:1", "one", 1);
  sockets.add("192.0.2.1:2", "one", 2);
  sockets.add("192.0.2.2:1", "two", 3);
  sockets.onLooked(["192.0.2.1:2", "192.0.2.9:9"], 3, 1_000);
  expect([sockets.of("one"), sockets.of("two"), sockets.total]).toEqual([1, 0, 1]);
});

test("one that opened after the list was read counts on", () => {
  const sockets = new OpenWebSockets();
  sockets.add("192.0.2.1:1", "one", 1);
  sockets.add("192.0.2.1:2", "one", 2);
  sockets.onLooked([], 1, 1_000);
  expect(sockets.of("one")).toBe(1);
});

test("a connection's name that comes again is one more WebSocket, and not two", () => {
  const sockets = new OpenWebSockets();
  sockets.add("192.0.2.1:1", "one", 1);
  sockets.add("192.0.2.1:1", "two", 2);
  expect([sockets.of("one"), sockets.of("two")]).toEqual([0, 1]);
});

test("the list is wanted once a second, and not without WebSockets", () => {
  const sockets = new OpenWebSockets();
  expect(sockets.isDue(10_000)).toBe(false);
  sockets.add("192.0.2.1:1", "one", 1);
  expect(sockets.isDue(10_000)).toBe(true);
  sockets.onLooked(["192.0.2.1:1"], 1, 10_000);
  expect([sockets.isDue(10_999), sockets.isDue(11_000)]).toEqual([false, true]);
});
