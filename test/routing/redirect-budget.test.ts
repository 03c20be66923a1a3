import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { DEFAULT_FINAL_HOP, finalHop } from "../../routing/redirect-budget.ts";

describe("the final hop", () => {
  it.each([
    ["Go-http-client/1.1", 8],
    ["Go-http-client/2.0", 8],
    ["OpenAI/Go 3.95.0", 8],
    ["Python/3.11 aiohttp/3.14.5", 8],
    ["Python-urllib/3.11", 9],
    ["python-urllib3/2.8.0", 2],
    ["got (https://github.com/sindresorhus/got)", 9],
    ["Java/17.0.15", 18],
    ["libwww-perl/6.68", 6],
  ])("is one before the last that %s follows", (userAgent, hop) => {
    expect(finalHop(userAgent)).toBe(hop);
  });

  it.each([
    undefined,
    "",
    "node",
    "curl/7.88.1",
    "python-requests/2.34.2",
    "python-httpx/0.27.2",
    "axios/1.21.1",
    "OpenAI/JS 6.49.0",
    "OpenAI/Python 3.52.0",
    "Wget/1.21.3",
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36",
    "Apache-HttpClient/4.5 (Java/17.0.15)",
  ])("is 19 for %s, which follows 20 or more", (userAgent) => {
    expect(finalHop(userAgent)).toBe(19);
  });

  it("is a hop from 1 to 19 for whatever a client calls itself", () => {
    const words = fc.constantFrom(
      "aiohttp/3",
      "Go-http-client",
      "got",
      "constructor",
      "/",
      "",
      "x",
    );
    const userAgents = fc.oneof(
      fc.string({ maxLength: 400 }),
      fc.array(words).map((parts) => parts.join(" ")),
    );
    fc.assert(
      fc.property(userAgents, (userAgent) => {
        const hop = finalHop(userAgent);
        expect(Number.isInteger(hop) && hop >= 1 && hop <= DEFAULT_FINAL_HOP).toBe(true);
      }),
    );
  });
});
