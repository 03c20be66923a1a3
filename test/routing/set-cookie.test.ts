/** Cookies stay with the app that sets them. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ownCookie } from "../../routing/set-cookie.ts";

const HOST = "ws--app-f.example.com";

describe("a Set-Cookie", () => {
  it.each([
    "a=1",
    "a=1; Path=/; Secure; HttpOnly; SameSite=None",
    `a=1; Domain=${HOST}; Path=/`,
    `a=1; domain=.${HOST.toUpperCase()}`,
    // A name or value is no attribute.
    "domain=example.com; Path=/",
    "a=domain=example.com",
    "a=1; Path=/domain=example.com",
    "a=1; xdomain=example.com",
  ])("passes as it is: %s", (value) => {
    expect(ownCookie(value, HOST)).toBe(value);
  });

  it.each([
    ["a=1; Domain=example.com", "a=1"],
    ["a=1; Domain=.example.com; Secure", "a=1; Secure"],
    ["a=1;DOMAIN = example.com ;Path=/", "a=1;Path=/"],
    ["a=1; domain=com", "a=1"],
    ["a=1; Domain=other.example", "a=1"],
    ["a=1; Domain=ws--other-f.example.com", "a=1"],
    ["a=1; Domain=; Domain", "a=1"],
    [`a=1; Domain=${HOST}; Domain=example.com`, `a=1; Domain=${HOST}`],
    // Browsers decode it, or map it to ASCII.
    ["a=1; Domain=%65xample.com", "a=1"],
    ["a=1; Domain=ｅxample.com", "a=1"],
    ["a=1; Domain=example.com.", "a=1"],
    ['a="1; Domain=example.com"', 'a="1'],
  ])("for others becomes the own host's: %s", (value, own) => {
    expect(ownCookie(value, HOST)).toBe(own);
  });

  it("never leaves a Domain but the own host, and nothing else goes", () => {
    const attribute = fc.oneof(
      fc.constantFrom(" Path=/", "Secure", " Domain=example.com", "domain=x=y", "\tDOMAIN\t=", ""),
      fc.constantFrom(` Domain=${HOST}`, "domain", "=domain", "\u00a0domain=example.com"),
      fc.string().filter((text) => !text.includes(";")),
    );
    fc.assert(
      fc.property(fc.string(), fc.array(attribute), (pair, attributes) => {
        const parts = [pair.replaceAll(";", ""), ...attributes];
        const kept = ownCookie(parts.join(";"), HOST).split(";");
        const isDomain = (part: string) => /^\s*domain\s*(=|$)/i.test(part);
        for (const part of kept.slice(1).filter((each) => isDomain(each))) {
          expect(part.toLowerCase()).toContain(HOST);
        }
        const others = parts.slice(1).filter((part) => !isDomain(part));
        expect(kept.slice(1).filter((part) => !isDomain(part))).toEqual(others);
        expect(kept[0]).toBe(parts[0]);
      }),
    );
  });
});
