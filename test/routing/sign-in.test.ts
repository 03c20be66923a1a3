import { describe, expect, test } from "vitest";
import {
  isInvited,
  SIGN_IN_COOKIES,
  signInCookieLine,
  signInCookieValues,
  signInPage,
} from "../../routing/sign-in.ts";

describe("the gateway's own pages", () => {
  test.each([
    ["/_postern/signed-in?code=a&state=b", "signed_in"],
    ["/_postern/signed-in", "signed_in"],
    ["/_postern/sign-in", "sign_in"],
    ["/_postern/sign-out", "sign_out"],
    ["/_postern/signed-in/", undefined],
    ["/_postern/toString", undefined],
    ["/_postern/", undefined],
    ["/", undefined],
    ["//_postern/sign-out", undefined],
    ["/a?/_postern/sign-out", undefined],
  ])("%s", (target, page) => {
    expect(signInPage(target)).toBe(page);
  });
});

describe("a cookie of a sign-in", () => {
  test("is its host's alone, and of no use to another site", () => {
    expect(signInCookieLine("person", "v", 60, "https")).toBe(
      "__Host-postern_sign_in=v; Path=/; Max-Age=60; HttpOnly; SameSite=Lax; Secure",
    );
    expect(signInCookieLine("browser", "v", 60, "http")).toBe(
      "postern_browser=v; Path=/; Max-Age=60; HttpOnly; SameSite=Lax",
    );
  });

  test("that a neighbour planted does not count under https", () => {
    const planted = "postern_sign_in=theirs; __Host-postern_sign_in=ours";
    expect(signInCookieValues("person", planted, "https")).toEqual(["ours"]);
    expect(signInCookieValues("person", planted, "http")).toEqual(["theirs"]);
    expect(signInCookieValues("person", null, "https")).toEqual([]);
  });

  test("has one of four names", () => {
    expect(new Set(SIGN_IN_COOKIES).size).toBe(4);
  });
});

describe("an endpoint that invites ada@example.com and *@example.org", () => {
  const patterns = ["Ada@example.com", "*@Example.org"];
  test.each([
    ["ada@example.com", true],
    ["ADA@EXAMPLE.COM", true],
    ["bob@example.org", true],
    ["bob+work@example.org", true],
    ["ünal@example.org", true],
    ["bob@example.com", false],
    ["ada@example.com.evil.example", false],
    ["bob@sub.example.org", false],
    ["bob@evilexample.org", false],
    ["example.org", false],
    ["@example.org", false],
    ["", false],
    // Programs differ on whose address this is.
    ["evil@evil.example,bob@example.org", false],
    ['"evil@evil.example"@example.org', false],
    ["evil @example.org", false],
    ["evil\n@example.org", false],
    // Letters whose lower case is a letter of the pattern.
    ["bob@example.or\u{ff27}", false],
    ["b@\u{1f130}xample.org", false],
  ])("%s", (email, is) => {
    expect(isInvited(email, patterns)).toBe(is);
  });

  test("takes no letter for another that looks like it", () => {
    // The lower case of the Kelvin sign is a plain k.
    expect(isInvited("\u212Aim@example.com", ["kim@example.com"])).toBe(false);
    expect(isInvited("Kim@example.com", ["kim@example.com"])).toBe(true);
  });
});
