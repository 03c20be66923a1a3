/** What a client hears of a call that its pool refuses. */
import { expect, test } from "vitest";
import { failureOfRefusal } from "../../../origin-gpu/endpoints/start-failure.ts";

test.each([
  ["starting_failed", /did not become ready; the box's log says why/],
  ["startup_timeout", /within its startup_timeout; the box's log says more/],
  ["queue_full", /^chat has as many calls waiting as it may$/],
] as const)("%s, with the time after which it may try again", (code, detail) => {
  const failure = failureOfRefusal({ code, retryAfterS: 7 }, "chat");
  expect(failure).toMatchObject({ code, retryAfter: 7 });
  expect(failure.detail).toMatch(detail);
});

test("a container that is not started any more is no matter of time", () => {
  const failure = failureOfRefusal({ code: "gave_up", retryAfterS: 7 }, "chat");
  expect(failure).toEqual({
    code: "starting_failed",
    detail: "it failed too often and is not started any more; the box's log says why",
    retryAfter: null,
  });
});

test("a start that had no GPU is told as such, and a full queue is not", () => {
  const why = "it can't start here: it needs a GPU, which this box does not have";
  const failed = failureOfRefusal({ code: "starting_failed", retryAfterS: 7 }, "chat", why);
  expect(failed).toEqual({ code: "starting_failed", detail: why, retryAfter: 7 });
  const full = failureOfRefusal({ code: "queue_full", retryAfterS: 7 }, "chat", why);
  expect(full.detail).toContain("as many calls waiting as it may");
});
