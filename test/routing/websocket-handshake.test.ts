import { describe, expect, it } from "vitest";
import { isWebSocketHandshake } from "../../routing/websocket-handshake.ts";

const HANDSHAKE = {
  upgrade: "websocket",
  connection: "Upgrade",
  "sec-websocket-version": "13",
  // RFC 6455, 1.3.
  "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
};

function isHandshake(changed: Record<string, string | undefined> = {}, method = "GET"): boolean {
  const lines = Object.entries({ ...HANDSHAKE, ...changed });
  return isWebSocketHandshake(method, {
    get: (name) => lines.find(([line]) => line === name)?.[1] ?? null,
  });
}

describe("a WebSocket handshake", () => {
  it.each([
    {},
    { upgrade: "WebSocket" },
    { connection: "keep-alive, Upgrade" },
    { connection: "UPGRADE" },
    { "sec-websocket-key": " dGhlIHNhbXBsZSBub25jZQ== " },
  ])("is a GET with every mark of RFC 6455: %j", (changed) => {
    expect(isHandshake(changed)).toBe(true);
  });

  it.each(["POST", "PUT", "HEAD", "OPTIONS", "CONNECT"])("is none as %s", (method) => {
    expect(isHandshake({}, method)).toBe(false);
  });

  it.each([
    { upgrade: undefined },
    { upgrade: "h2c" },
    { upgrade: "websockets" },
    // workerd makes no WebSocket of a list.
    { upgrade: "h2c, websocket" },
    { upgrade: "websocket, h2c" },
    { connection: undefined },
    { connection: "keep-alive" },
    { connection: "x-upgrade" },
    { "sec-websocket-version": undefined },
    { "sec-websocket-version": "8" },
    { "sec-websocket-version": "13, 8" },
    { "sec-websocket-key": undefined },
    { "sec-websocket-key": "" },
    // 15 bytes, 17 bytes, and 16 bytes in another spelling.
    { "sec-websocket-key": "dGhlIHNhbXBsZSBub25j" },
    { "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQE=" },
    { "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZR==" },
    { "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==, dGhlIHNhbXBsZSBub25jZQ==" },
  ])("is none where a mark is missing or wrong: %j", (changed) => {
    expect(isHandshake(changed)).toBe(false);
  });
});
