import { expect, test } from "vitest";

import { WebSocketRoom } from "../../../../gateway/worker/edge/websocket-room.ts";

/** Opens so many, and returns how many found room. */
function open(room: WebSocketRoom, count: number): number {
  return Array.from({ length: count }, () => room.take()).filter((refusal) => refusal === undefined)
    .length;
}

test("before the first count, and where the system does not tell, there is room", () => {
  const room = new WebSocketRoom();
  expect(open(room, 100)).toBe(100);
  room.onCounted(undefined, room.opened);
  expect(open(room, 100)).toBe(100);
});

test("between two counts no more are opened than there was room for", () => {
  const room = new WebSocketRoom();
  room.onCounted(10, 0);
  expect(open(room, 25)).toBe(10);
  expect(room.take()).toEqual({
    code: "unavailable",
    detail: "the gateway has no descriptors for more WebSockets",
  });
  // None of them has gone.
  room.onCounted(0, room.opened);
  expect(open(room, 5)).toBe(0);
  room.onCounted(3, room.opened);
  expect(open(room, 5)).toBe(3);
});

test("those that were opened while the runner counted are subtracted from what it found", () => {
  const room = new WebSocketRoom();
  const before = room.opened;
  expect(open(room, 6)).toBe(6);
  room.onCounted(10, before);
  expect(open(room, 10)).toBe(4);
});
