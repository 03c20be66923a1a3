import { describe, expect, test } from "vitest";

import {
  type BoxProgress,
  judge,
  nextStatus,
  type VersionEvent,
} from "../../../../gateway/objects/workspace/version-states.ts";
import { VERSION_STATUSES, type VersionStatus } from "../../../../api/version-status.ts";

const EVENTS: readonly VersionEvent[] = ["start", "ready", "fail", "overtake", "stop"];

/** All that may happen; everything else means nothing. */
const LEGAL: Readonly<Record<string, VersionStatus>> = {
  "staged start": "candidate",
  "staged fail": "failed",
  "staged overtake": "superseded",
  "staged stop": "stopped",
  "candidate ready": "serving",
  "candidate fail": "failed",
  "candidate overtake": "superseded",
  "candidate stop": "stopped",
  "serving overtake": "replaced",
  "serving stop": "stopped",
};

test.each(VERSION_STATUSES.flatMap((status) => EVENTS.map((event) => [status, event] as const)))(
  "a version that is %s, at %s",
  (status, event) => {
    expect(nextStatus(status, event)).toBe(LEGAL[`${status} ${event}`]);
  },
);

function box(name: string, state: BoxProgress["state"], connected = true): BoxProgress {
  return { box: name, connected, awaited: connected, state, detail: "", lines: [] };
}

/** Without a link for a moment. */
function blinking(name: string, state: BoxProgress["state"]): BoxProgress {
  return { ...box(name, state, false), awaited: true };
}

describe("a candidate", () => {
  test.each<[string, BoxProgress[], string]>([
    ["waits while nobody has said anything", [box("a", null)], "wait"],
    ["waits for every connected box", [box("a", "ready"), box("b", "starting")], "wait"],
    ["is ready when all are", [box("a", "ready"), box("b", "ready")], "ready"],
    ["does not wait for a box that is away", [box("a", "ready"), box("b", null, false)], "ready"],
    ["waits for a box whose link blinks", [box("a", "ready"), blinking("b", "starting")], "wait"],
    ["is ready while a ready box blinks", [box("a", "ready"), blinking("b", "ready")], "ready"],
    ["waits while its only box blinks", [blinking("a", "ready")], "wait"],
    ["waits while its ready box is away", [box("a", "ready", false)], "wait"],
    ["waits while all boxes are away", [box("a", null, false), box("b", null, false)], "wait"],
    ["fails with one of its boxes", [box("a", "ready"), box("b", "failed")], "failed"],
    [
      "fails with a box that is away since",
      [box("a", "ready"), box("b", "failed", false)],
      "failed",
    ],
    ["counts a box that serves it already", [box("a", "serving"), box("b", "ready")], "ready"],
    ["waits without any box", [], "wait"],
  ])("%s", (_name, boxes, expected) => {
    expect(judge(boxes).kind).toBe(expected);
  });

  test("that failed says where and why", () => {
    const failed = { ...box("b", "failed"), detail: "exit code 1", lines: ["Traceback"] };
    expect(judge([box("a", "ready"), failed])).toEqual({
      kind: "failed",
      box: "b",
      detail: "exit code 1",
      lines: ["Traceback"],
    });
  });
});
