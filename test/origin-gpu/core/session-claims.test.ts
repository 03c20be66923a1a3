/** Which box gets a session that several claim at once. */
import { expect, test } from "vitest";
import { SessionClaims } from "../../../origin-gpu/core/session-claims.ts";

const ENDPOINT = "main/shop/web";

test("the first claim's box is told to all who claim the session by any key of it", () => {
  const claims = new SessionClaims();
  expect(claims.claim(ENDPOINT, ["session_hash=a", "cookie=b"], "one", 0)).toBe("one");
  expect(claims.claim(ENDPOINT, ["session_hash=a"], "two", 10)).toBe("one");
  expect(claims.claim(ENDPOINT, ["sid=c", "cookie=b"], "two", 20)).toBe("one");
  expect(claims.claim(ENDPOINT, ["sid=c"], "two", 30)).toBe("one");
});

test("keys of another endpoint are other keys", () => {
  const claims = new SessionClaims();
  claims.claim(ENDPOINT, ["cookie=a"], "one", 0);
  expect(claims.claim("main/shop/api", ["cookie=a"], "two", 0)).toBe("two");
});

test("a claim holds for a minute: the box knows the session by then", () => {
  const claims = new SessionClaims();
  claims.claim(ENDPOINT, ["cookie=a"], "one", 0);
  expect(claims.claim(ENDPOINT, ["cookie=a"], "two", 59_999)).toBe("one");
  expect(claims.claim(ENDPOINT, ["cookie=a"], "two", 60_000)).toBe("two");
  expect(claims.size).toBe(1);
});

test("100,000 claims are remembered at most", () => {
  const claims = new SessionClaims();
  for (let count = 0; count < 100_100; count += 1) {
    claims.claim(ENDPOINT, [`cookie=${count}`], "one", 0);
  }
  expect(claims.size).toBe(100_000);
});
