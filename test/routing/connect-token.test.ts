import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  connectCookieLine,
  connectCookieValues,
  takeConnectParameter,
  withoutConnectParameter,
} from "../../routing/connect-token.ts";
import { mayUseCookies } from "../../routing/own-page.ts";

const OURS = "_postern_connect_token";
const MODALS = "_modal_connect_token";

describe("a target", () => {
  test.each([
    ["/", "/", undefined],
    ["/a?b=c", "/a?b=c", undefined],
    [`/${OURS}=x`, `/${OURS}=x`, undefined],
    [`/?x${OURS}=t`, `/?x${OURS}=t`, undefined],
    [`/?${OURS}=t`, "/", { name: OURS, token: "t" }],
    [`/?${MODALS}=t`, "/", { name: MODALS, token: "t" }],
    [`/?${OURS}`, "/", { name: OURS, token: "" }],
    [`/a%20b?b=%41&${OURS}=t&c=d?`, "/a%20b?b=%41&c=d?", { name: OURS, token: "t" }],
    [`/?${OURS}=t&${MODALS}=u&${OURS}=v`, "/", { name: OURS, token: "t" }],
    [`/?&${OURS}=t&`, "/?&", { name: OURS, token: "t" }],
  ])("%s is the app's as %s", (target, rest, parameter) => {
    expect(takeConnectParameter(target)).toEqual({
      target: rest,
      ...(parameter !== undefined && { parameter }),
    });
  });

  test("never reaches the app with a token, and is whole without one", () => {
    const pair = fc.oneof(
      fc.constantFrom(`${OURS}=t`, `${MODALS}=t`),
      fc.stringMatching(/^[!-%'-~]*$/),
    );
    fc.assert(
      fc.property(fc.array(pair), (pairs) => {
        const target = `/p?${pairs.join("&")}`;
        const taken = takeConnectParameter(target);
        expect(takeConnectParameter(taken.target).parameter).toBeUndefined();
        if (taken.parameter === undefined) expect(taken.target).toBe(target);
      }),
    );
  });
});

test("a Referer loses the token of its page", () => {
  const page = "https://ecorp--chat-web.example.com/x?a=1";
  expect(withoutConnectParameter(`${page}&${OURS}=t`)).toBe(page);
  expect(withoutConnectParameter(page)).toBe(page);
});

test("cookies of both names are read, and set for the host alone", () => {
  expect(connectCookieValues(`a=b; ${MODALS}=m; ${OURS}=p`)).toEqual(["p", "m"]);
  expect(connectCookieValues(null)).toEqual([]);
  const line = connectCookieLine({ name: MODALS, token: "t" }, 60, "https");
  expect(line).toBe(`${MODALS}=t; Path=/; Max-Age=60; HttpOnly; SameSite=Lax; Secure`);
  expect(connectCookieLine({ name: OURS, token: "t" }, 60, "http")).not.toContain("Secure");
});

describe("a cookie speaks for", () => {
  const HOST = "ecorp--chat-web.example.com";
  const may = (
    headers: Record<string, string>,
    method = "GET",
    cors: Parameters<typeof mayUseCookies>[3] = false,
  ) => mayUseCookies(method, new Headers(headers), HOST, cors);

  test.each<[string, Record<string, string>, string?]>([
    ["a program", {}],
    ["a page of the host", { origin: `https://${HOST}`, "sec-fetch-site": "same-origin" }, "POST"],
    ["a page behind a proxy that ends TLS", { origin: `http://${HOST}` }, "POST"],
    ["what that page loads", { "sec-fetch-site": "same-origin", "sec-fetch-mode": "no-cors" }],
    ["the address bar", { "sec-fetch-site": "none", "sec-fetch-mode": "navigate" }],
    ["a link", { "sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate" }],
    ["a link of a neighbour", { "sec-fetch-site": "same-site", "sec-fetch-mode": "navigate" }],
  ])("%s", (_who, headers, method) => expect(may(headers, method)).toBe(true));

  test.each<[string, Record<string, string>, string?]>([
    ["a neighbour's page", { origin: "https://ecorp--evil.example.com" }],
    [
      "a neighbour's form",
      { origin: "https://evil.example.com", "sec-fetch-mode": "navigate" },
      "POST",
    ],
    ["another site's WebSocket", { origin: "https://evil.example", "sec-fetch-mode": "websocket" }],
    ["a page without an origin", { origin: "null" }, "POST"],
    ["a page of another port", { origin: `https://${HOST}:8443` }],
    ["a page of a longer name", { origin: `https://${HOST}.evil.example` }],
    ["a page that names it as a user", { origin: `https://${HOST}@evil.example` }],
    [
      "what a neighbour's page loads",
      { "sec-fetch-site": "same-site", "sec-fetch-mode": "no-cors" },
    ],
    [
      "what another site's page loads",
      { "sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors" },
    ],
    [
      "another site's form",
      { "sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate" },
      "POST",
    ],
  ])("no %s", (_who, headers, method) => expect(may(headers, method)).toBe(false));

  test("a page that the endpoint lets use cookies, and no other", () => {
    const page = "https://front.example";
    const cors = { origins: [page], credentials: true };
    expect(may({ origin: page }, "POST", cors)).toBe(true);
    expect(may({ origin: "https://other.example" }, "POST", cors)).toBe(false);
    expect(may({ origin: page }, "POST", { origins: [page] })).toBe(false);
    expect(may({ origin: page }, "POST", true)).toBe(false);
  });
});
