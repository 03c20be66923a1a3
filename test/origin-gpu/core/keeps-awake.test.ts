/** The calls that leave their container idle. */
import { expect, test } from "vitest";
import { isPassive } from "../../../origin-gpu/core/keeps-awake.ts";

const RULE = { websockets: false, exceptPaths: ["/queue/status", "/poll/*"] };

test.each([
  ["/generate", undefined, false],
  ["/queue/status", undefined, true],
  ["/queue/status?since=1", undefined, true],
  ["/queue/status/more", undefined, false],
  ["/poll/a", undefined, true],
  ["/polls", undefined, false],
  ["/ws", "key", true],
])("%s, with a WebSocket's key %s: %s", (target, websocket, passive) => {
  expect(isPassive({ target, websocket }, RULE)).toBe(passive);
});

test("by default all calls count", () => {
  const rule = { websockets: true, exceptPaths: [] };
  expect(isPassive({ target: "/ws", websocket: "key" }, rule)).toBe(false);
});
