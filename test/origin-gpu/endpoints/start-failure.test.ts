/** What a client hears of a container that did not start. */
import { expect, test } from "vitest";
import { StartFailure } from "../../../origin-gpu/containers/container.ts";
import { failureOfStart } from "../../../origin-gpu/endpoints/start-failure.ts";

test.each(["starting_failed", "startup_timeout"] as const)(
  "%s: the client hears the code and when to try again, and neither reason nor output",
  (code) => {
    const message = "/srv/secret/model.bin is missing";
    const failure = failureOfStart(new StartFailure(code, message, ["loading /srv/secret"]));
    expect(failure).toMatchObject({ code, retryAfter: 5 });
    expect(failure.detail).toContain("the box's log says");
    expect(JSON.stringify(failure)).not.toContain("secret");
  },
);

test("another error is the app's, with its words", () => {
  expect(failureOfStart(new Error("the app accepts no connections"))).toEqual({
    code: "origin_error",
    detail: "the app accepts no connections",
  });
  expect(failureOfStart("gone")).toEqual({ code: "origin_error", detail: "gone" });
});
