/** The WebSockets of an endpoint. */
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Relays } from "../../../origin-gpu/endpoints/relays.ts";
import type { Relay, RelaySummary } from "../../../origin-gpu/websocket/relay.ts";

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

function relay() {
  const closes: string[] = [];
  const closed = Promise.withResolvers<RelaySummary>();
  const value = {
    close: (code: number, reason: string) => closes.push(`${code} ${reason}`),
    closed: closed.promise,
  };
  const end = (by: RelaySummary["by"]): void => {
    closed.resolve({ by, code: 1009, reason: "too large", bytesToApp: 0, bytesToClient: 0 });
  };
  return { value: value as unknown as Relay, closes, end };
}

test("a socket is closed after max_duration, and one that closed before is left alone", async () => {
  const relays = new Relays(() => undefined);
  const [long, short] = [relay(), relay()];
  relays.add(long.value, "ct-long", 1_000);
  relays.add(short.value, "ct-short", 1_000);
  short.end("client");
  await vi.advanceTimersByTimeAsync(1_000);
  expect(long.closes).toEqual(["1001 the socket was open for max_duration"]);
  expect(short.closes).toEqual([]);
  relays.closeAll("the box is stopping");
  expect(short.closes).toEqual([]);
});

test("all that are open are told why they close", () => {
  const relays = new Relays(() => undefined);
  const [first, second] = [relay(), relay()];
  relays.add(first.value, "ct-first", 1_000);
  relays.add(second.value, "ct-second", 1_000);
  relays.closeAll("the app is started anew");
  expect([...first.closes, ...second.closes]).toEqual([
    "1001 the app is started anew",
    "1001 the app is started anew",
  ]);
});

test("those of a container end with it, and others stay", () => {
  const relays = new Relays(() => undefined);
  const [first, second] = [relay(), relay()];
  relays.add(first.value, "ct-first", 1_000);
  relays.add(second.value, "ct-second", 1_000);
  relays.closeAt("ct-first");
  expect(first.closes).toEqual(["1001 its container ends"]);
  expect(second.closes).toEqual([]);
});

test("those of a container that drains have a time, and one whose handshake took longer has none", async () => {
  const relays = new Relays(() => undefined);
  const [first, other, late] = [relay(), relay(), relay()];
  relays.add(first.value, "ct-first", 60_000);
  relays.add(other.value, "ct-other", 60_000);
  relays.drain("ct-first", 1_000);
  await vi.advanceTimersByTimeAsync(999);
  expect(first.closes).toEqual([]);
  await vi.advanceTimersByTimeAsync(1);
  expect(first.closes).toEqual(["1001 its container ends"]);
  relays.add(late.value, "ct-first", 60_000);
  expect(late.closes).toEqual(["1001 its container ends"]);
  expect(other.closes).toEqual([]);
});

test("those of a container that falls asleep are told so, and the ones at its end hear of that", async () => {
  const relays = new Relays(() => undefined);
  const [first, late, last] = [relay(), relay(), relay()];
  relays.add(first.value, "ct-1", 60_000);
  relays.drain("ct-1", 1_000, true);
  await vi.advanceTimersByTimeAsync(1_000);
  relays.add(late.value, "ct-1", 60_000);
  expect([...first.closes, ...late.closes]).toEqual([
    "1001 its container sleeps",
    "1001 its container sleeps",
  ]);
  relays.drained("ct-1");
  relays.add(last.value, "ct-1", 60_000);
  relays.closeAt("ct-1");
  expect(last.closes).toEqual(["1001 its container ends"]);
});

test("a container that has drained and goes on keeps its later sockets", async () => {
  const relays = new Relays(() => undefined);
  relays.drain("ct-1", 1_000);
  relays.drained("ct-1");
  const socket = relay();
  relays.add(socket.value, "ct-1", 60_000);
  await vi.advanceTimersByTimeAsync(1_000);
  expect(socket.closes).toEqual([]);
});

test("the log says when Postern itself closed a socket", async () => {
  const lines: string[] = [];
  const relays = new Relays((line) => lines.push(line));
  const [own, other] = [relay(), relay()];
  relays.add(own.value, "ct-own", 1_000);
  relays.add(other.value, "ct-other", 1_000);
  own.end("agent");
  other.end("app");
  await vi.advanceTimersByTimeAsync(0);
  expect(lines).toEqual(["postern: closed a WebSocket with 1009: too large"]);
});
