import { describe, expect, test } from "vitest";
import {
  AFFINITY_COOKIE,
  affinityCookieLine,
  affinityCookieValues,
} from "../../routing/affinity-cookie.ts";
import { setsCookie, withoutCookies } from "../../routing/own-cookies.ts";
import { callerOf } from "../../routing/idempotency.ts";

describe("the line that sets the cookie", () => {
  test("lets a page in another site's frame have it, where that is safe", () => {
    expect(affinityCookieLine("v", "https")).toBe(
      "postern_affinity=v; Path=/; HttpOnly; Secure; SameSite=None; Partitioned",
    );
  });

  test("keeps to the site without TLS", () => {
    expect(affinityCookieLine("v", "http")).toBe(
      "postern_affinity=v; Path=/; HttpOnly; SameSite=Lax",
    );
  });
});

describe("a client's cookies", () => {
  test.each([
    ["postern_affinity=v", ["v"], undefined],
    ["a=b; postern_affinity=v; c=d", ["v"], "a=b; c=d"],
    ["a=b;postern_affinity = v ;c=d", ["v"], "a=b; c=d"],
    ["a=b, postern_affinity=v", ["v"], "a=b"],
    ["postern_affinity=v; postern_affinity=w", ["v", "w"], undefined],
    ["postern_affinity=", [""], undefined],
    ["a=postern_affinity=v", [], "a=postern_affinity=v"],
    ["xpostern_affinity=v; postern_affinityx=w", [], "xpostern_affinity=v; postern_affinityx=w"],
    ["a=b;c=d", [], "a=b;c=d"],
    ["postern_affinity", [], "postern_affinity"],
  ])("%s", (header, values, rest) => {
    expect(affinityCookieValues(header)).toEqual(values);
    expect(withoutCookies(header, [AFFINITY_COOKIE])).toBe(rest);
  });

  test("are four of the name at most", () => {
    expect(affinityCookieValues("postern_affinity=v; ".repeat(100))).toHaveLength(4);
    expect(affinityCookieValues(null)).toEqual([]);
  });

  test("tell the same caller with the cookie, with another one and without", () => {
    const caller = (cookie?: string) =>
      callerOf(new Map(cookie === undefined ? [] : [["cookie", cookie]]), {
        address: "192.0.2.1",
        isNamedByProxy: false,
      });
    expect(caller("postern_affinity=v")).toEqual(caller());
    expect(caller("a=b; postern_affinity=v")).toEqual(caller("a=b"));
    expect(caller("a=b; postern_affinity=v")).not.toEqual(caller("a=c; postern_affinity=v"));
  });
});

test("an app's line for the cookie is told from others", () => {
  expect(setsCookie("postern_affinity=x; Path=/", ["postern_affinity"])).toBe(true);
  expect(setsCookie(" postern_affinity =x", ["postern_affinity"])).toBe(true);
  expect(setsCookie("a=postern_affinity", ["postern_affinity"])).toBe(false);
  expect(setsCookie("other=x; postern_affinity=y", ["postern_affinity"])).toBe(false);
});
