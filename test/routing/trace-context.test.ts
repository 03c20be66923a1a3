import { expect, test } from "vitest";
import { callTrace, continuedTrace } from "../../routing/trace-context.ts";

const TRACE = "0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331";

function given(traceparent: string): ReturnType<typeof continuedTrace> {
  return continuedTrace(new Headers({ traceparent, tracestate: "vendor=1" }));
}

test.each(["00", "01", "ff"])(
  "a client's valid trace goes on as it came, with flags %s",
  (flags) => {
    const traceparent = `00-${TRACE}-${flags}`;
    expect(given(traceparent)).toEqual({ traceparent, tracestate: "vendor=1" });
  },
);

test.each([`01-${TRACE}-01`, `fe-${TRACE}-01-of-a-later-version`])(
  "a later version goes on as the one that we know: %s",
  (traceparent) => {
    expect(given(traceparent)?.traceparent).toBe(`00-${TRACE}-01`);
  },
);

test.each([
  "",
  "forged",
  `ff-${TRACE}-01`,
  `00-${TRACE}-01-more`,
  `01-${TRACE}-01.more`,
  `00-${TRACE}-1`,
  `00-${TRACE.toUpperCase()}-01`,
  `00-${"0".repeat(32)}-b7ad6b7169203331-01`,
  `00-0af7651916cd43dd8448eb211c80319c-${"0".repeat(16)}-01`,
  // The platform's join of two lines.
  `00-${TRACE}-01, 00-${TRACE}-01`,
])("what is no trace does not go on, and neither does its state: %j", (traceparent) => {
  expect(given(traceparent)).toBeUndefined();
});

test("a call without a trace begins one by its own id", () => {
  const trace = callTrace("6f7c0f4e-5b1c-4a43-9a52-0f9f4c2f3a11");
  expect(trace.traceparent).toBe("00-6f7c0f4e5b1c4a439a520f9f4c2f3a11-9a520f9f4c2f3a11-01");
  expect(continuedTrace(new Headers({ traceparent: trace.traceparent }))).toEqual(trace);
});
