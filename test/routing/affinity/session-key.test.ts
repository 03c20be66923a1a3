import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { holdOf, isHandedOut, sessionKey } from "../../../routing/affinity/session-key.ts";

describe("a session key", () => {
  test("is its name and its value", () => {
    expect(sessionKey("session_hash", "abc")).toBe("session_hash=abc");
  });

  test("has a value that is not empty", () => {
    expect(sessionKey("sid", "")).toBeUndefined();
  });

  test("is at most 200 visible characters, whatever the value", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", minLength: 1, maxLength: 2_000 }), (value) => {
        const key = sessionKey("mcp-session-id", value) as string;
        expect(key).toMatch(/^mcp-session-id=[!-~]{1,185}$/);
      }),
    );
  });

  test("of a value that is too long is told from another one by its last character", () => {
    const long = "x".repeat(5_000);
    expect(sessionKey("sid", `${long}a`)).not.toBe(sessionKey("sid", `${long}b`));
    expect(sessionKey("sid", `${long}a`)).toBe(sessionKey("sid", `${long}a`));
  });

  test("holds its container, unless it names a file or a cache", () => {
    expect(holdOf("session_hash=a")).toBe("container");
    expect(holdOf("file=a")).toBe("box");
    expect(holdOf("prompt=a")).toBe("advice");
    expect(holdOf("prompt_cache_key=a")).toBe("advice");
    // A user's own names are no preset's.
    expect(holdOf("query:file=a")).toBe("container");
    expect(holdOf("toString=a")).toBe("container");
  });

  test("is handed out by the app, or chosen by the client", () => {
    for (const key of ["event_id=a", "mcp-session-id=a", "sid=a", "learned:header:x=a"]) {
      expect(isHandedOut(key)).toBe(true);
    }
    for (const key of ["session_hash=a", "cookie=a", "header:x=a", "query:sid=a", "client-ip=a"]) {
      expect(isHandedOut(key)).toBe(false);
    }
  });
});
