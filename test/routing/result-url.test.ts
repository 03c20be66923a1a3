import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parsePrefer } from "../../routing/prefer.ts";
import { parseResultTarget, pathReference, resultTarget } from "../../routing/result-url.ts";

describe("a result URL", () => {
  test.each([
    ["/a", "/a?__postern_call=T"],
    ["/a?x=1&y=%2F", "/a?x=1&y=%2F&__postern_call=T"],
    ["/a?", "/a?&__postern_call=T"],
  ])("of %s is %s", (target, expected) => {
    expect(resultTarget(target, "T")).toBe(expected);
  });

  test("gives its original target and token back, whatever the target", () => {
    const target = fc
      .stringMatching(/^\/[!-"$->@-~]*(\?[!-"$-%'-~&]+)?$/)
      .filter(
        (text) => !text.includes("__postern_") && !text.includes("?&") && !text.endsWith("?"),
      );
    fc.assert(
      fc.property(target, fc.constantFrom("result" as const, "events" as const), (text, kind) => {
        const parsed = parseResultTarget(resultTarget(text, "abc.def", kind));
        expect(parsed).toEqual({ kind, token: "abc.def", target: text });
      }),
    );
  });

  test.each([
    ["/a//b", "/a//b"],
    ["//example.com/a?b", "/.//example.com/a?b"],
    ["/\\example.com/a", "/./\\example.com/a"],
    ["///a", "/.///a"],
  ])("%s is referred to as %s", (target, reference) => {
    expect(pathReference(target)).toBe(reference);
  });

  test("refers to its own host, whatever the target", () => {
    const target = fc.stringMatching(/^\/[/\\.a-z:@?]{0,12}$/);
    fc.assert(
      fc.property(target, (text) => {
        const reference = pathReference(resultTarget(text, "T"));
        expect(new URL(reference, "http://here.test/x/y").host).toBe("here.test");
      }),
    );
  });

  test("is recognised wherever the parameter stands, and takes a second one out too", () => {
    expect(parseResultTarget("/a?__postern_call=T&x=1&__postern_call=U")).toEqual({
      kind: "result",
      token: "T",
      target: "/a?x=1",
    });
  });

  test.each(["/a", "/a?x=__postern_call", "/__postern_call=T", "/a?x__postern_call=T"])(
    "is not %s",
    (target) => {
      expect(parseResultTarget(target)).toBeUndefined();
    },
  );
});

describe("Prefer", () => {
  test.each([
    [null, false, undefined],
    ["respond-async", true, undefined],
    ["respond-async, wait=10", true, 10],
    ['Wait="5"; foo=bar', false, 5],
    ["return=minimal, wait=-1", false, undefined],
    ["wait=3, wait=9", false, 3],
    ["wait=9999999", false, 86_400],
  ])("%s", (header, respondAsync, waitS) => {
    expect(parsePrefer(header)).toEqual({ respondAsync, waitS });
  });
});
