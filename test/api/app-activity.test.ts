import { expect, test } from "vitest";
import type { ApiApp } from "../../api/apps.ts";
import { shownCounts, withActivity } from "../../api/app-activity.ts";

const box = (name: string) => ({
  name,
  connected: true,
  has_code: true,
  state: "serving" as const,
  detail: "",
});

const APP: ApiApp = {
  id: "ap-1",
  name: "shop",
  environment: "main",
  state: "deployed",
  version: 1,
  candidate: null,
  endpoints: [],
  scaling: {},
  boxes: [box("a"), box("b")],
  last_error: "",
  created_at: "2026-01-01T00:00:00Z",
  stopped_at: null,
};

const NONE = { ready: 0, starting: 0, asleep: 0, draining: 0, stuck: 0, failed: 0 };
const READY = { ...NONE, ready: 1, asleep: 1, waiting: 2, error: "" };
const STUCK = { ...NONE, starting: 1, stuck: 1, waiting: 1, error: "a container survived SIGKILL" };
const FAILED = { ...NONE, failed: 1, waiting: 1, error: "ended with code 7" };

test("counts are summed over an app's functions and boxes, of its environment alone", () => {
  const activities = new Map([
    [
      "a",
      [
        { endpoint: "main/shop/web", ...READY },
        { endpoint: "main/shop/api", ...FAILED },
        { endpoint: "dev/shop/web", ...READY },
        { endpoint: "main/shop2/web", ...READY },
      ],
    ],
    ["b", [{ endpoint: "main/shop/web", ...READY }]],
    ["c", [{ endpoint: "main/shop/web", ...READY }]],
  ]);
  const shown = withActivity(APP, activities);
  expect(shown).toMatchObject({
    containers: { ready: 2, starting: 0, asleep: 2, draining: 0, stuck: 0, failed: 1 },
    waiting: 5,
    last_error: "a: api: ended with code 7",
  });
  expect(shownCounts(shown.containers)).toBe("2 ready, 2 asleep, 1 failed");
});

test("a container that survived SIGKILL is counted as stuck, and is the last error where none else is", () => {
  const activities = new Map([["a", [{ endpoint: "main/shop/web", ...STUCK }]]]);
  const shown = withActivity(APP, activities);
  expect(shownCounts(shown.containers)).toBe("1 starting, 1 stuck");
  expect(shown.last_error).toBe("a: web: a container survived SIGKILL");
  activities.set("b", [{ endpoint: "main/shop/api", ...FAILED }]);
  const both = withActivity(APP, activities);
  expect(shownCounts(both.containers)).toBe("1 starting, 1 stuck, 1 failed");
  expect(both.last_error).toBe("b: api: ended with code 7");
});

test("an app none of whose boxes said anything has no counts, where one with no container has none", () => {
  const unknown = withActivity(APP, new Map());
  expect(unknown).toMatchObject({ containers: null, waiting: null });
  expect(shownCounts(unknown.containers)).toBe("");
  expect(shownCounts(withActivity(APP, new Map([["a", []]])).containers)).toBe("none");
});

test("what the gateway says of an app is its last error before what a container says", () => {
  const activities = new Map([["a", [{ endpoint: "main/shop/api", ...FAILED }]]]);
  const app = { ...APP, last_error: "b: no box has the code" };
  expect(withActivity(app, activities).last_error).toBe("b: no box has the code");
});
