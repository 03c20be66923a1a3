import { describe, expect, test } from "vitest";
import { AFFINITY_WORD, affinityRules } from "../../../routing/affinity/rules.ts";
import { rulesOf } from "./requests.ts";

const NAMED = { from: "header", key: "modal-session-id", name: "modal-session-id" };

describe("the rules of an affinity list", () => {
  test("are none where affinity is off", () => {
    expect(affinityRules([])).toBeUndefined();
    expect(affinityRules(["none"])).toBeUndefined();
  });

  test("leave out a word that they do not know, and are none where they know no other", () => {
    expect(affinityRules(["moon-phase"])).toBeUndefined();
    expect(rulesOf("moon-phase", "cookie").sources).toEqual([NAMED, { from: "cookie" }]);
  });

  test("begin with Modal-Session-ID, and keep the order of the words", () => {
    expect(rulesOf("query:user", "client-ip", "header:X-User").sources).toEqual([
      NAMED,
      { from: "query", key: "query:user", name: "user" },
      { from: "client-ip" },
      { from: "header", key: "header:x-user", name: "x-user" },
    ]);
  });

  test("have each source once", () => {
    expect(rulesOf("cookie", "streamlit", "jupyter", "cookie").sources).toEqual([
      NAMED,
      { from: "cookie" },
      ...rulesOf("streamlit").sources.filter(({ from }) => from !== "header" && from !== "cookie"),
      ...rulesOf("jupyter").sources.filter(({ from }) => from === "path"),
    ]);
  });

  test("say whether the gateway's own cookie is among them", () => {
    expect(rulesOf("gradio").usesCookie).toBe(true);
    expect(rulesOf("mcp").usesCookie).toBe(false);
    expect(rulesOf("mcp", "cookie").usesCookie).toBe(true);
  });

  test("say which presets are among them", () => {
    expect([...rulesOf("mcp", "cookie", "llm").presets]).toEqual(["mcp", "llm"]);
  });

  test("of more words than a list may have are those of the first ones", () => {
    const words = Array.from({ length: 100 }, (_, index) => `query:q${index}`);
    expect(rulesOf(...words).sources).toHaveLength(17);
  });
});

describe("a word", () => {
  const good = [
    "none",
    "cookie",
    "client-ip",
    "gradio",
    "mcp",
    "socket.io",
    "streamlit",
    "jupyter",
    "llm",
    "header:X-Session",
    "query:session_hash",
    "learned:header:Mcp-Session-Id",
    "learned:cookie:JSESSIONID",
    "learned:json:event_id",
  ];
  test.each(good)("may be %s", (word) => {
    expect(AFFINITY_WORD.test(word)).toBe(true);
  });

  const bad = [
    "",
    "Cookie",
    "socketXio",
    "header:",
    "header:a b",
    "query:",
    "query:a&b",
    "query:a=b",
    "learned:query:x",
    "learned:json:",
    `header:${"x".repeat(101)}`,
    "cookie\n",
    "constructor",
  ];
  test.each(bad)("is not %j", (word) => {
    expect(AFFINITY_WORD.test(word)).toBe(false);
  });
});
