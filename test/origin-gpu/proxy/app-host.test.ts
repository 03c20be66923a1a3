import { describe, expect, test } from "vitest";
import { appHost } from "../../../origin-gpu/proxy/app-host.ts";

const PUBLIC = "ws--chat.example.com";

function request(...more: readonly string[]): string[] {
  return ["host", PUBLIC, "x-forwarded-proto", "https", ...more];
}

function seenBy(hostHeader: string, appOrigin: string, ...more: readonly string[]): string[] {
  const headers = request(...more);
  return appHost(headers, hostHeader, appOrigin)?.toApp(headers) ?? [];
}

test("without host_header nothing is changed", () => {
  expect(appHost(request(), undefined, "http://127.0.0.1:41000")).toBeUndefined();
});

describe("the local host", () => {
  test.each([
    ["http://127.0.0.1:41000", "localhost:41000", "http://localhost:41000"],
    ["http://[::1]:41000", "localhost:41000", "http://localhost:41000"],
    ["http://127.0.0.1", "localhost", "http://localhost"],
    ["http://192.168.1.5:8188", "192.168.1.5:8188", "http://192.168.1.5:8188"],
    ["https://studio.lan", "studio.lan", "https://studio.lan"],
  ])("of %s is %s", (appOrigin, host, origin) => {
    const lines = seenBy("local", appOrigin, "origin", `https://${PUBLIC}`, "accept", "*/*");
    expect(lines).toEqual([
      "host",
      host,
      "x-forwarded-proto",
      "https",
      "origin",
      origin,
      "accept",
      "*/*",
    ]);
  });
});

test("under a name the Origin keeps its scheme", () => {
  const lines = seenBy("app.example", "http://127.0.0.1:1", "origin", `HTTPS://${PUBLIC}`);
  expect(lines.slice(-2)).toEqual(["origin", "https://app.example"]);
  expect(lines.slice(0, 2)).toEqual(["host", "app.example"]);
});

test.each([
  "null",
  "https://evil.example",
  `http://${PUBLIC}`,
  `https://${PUBLIC}.evil.example`,
  `https://${PUBLIC}:444`,
  `https://evil.example/https://${PUBLIC}`,
])("an Origin that is not the public one stays: %s", (origin) => {
  expect(seenBy("local", "http://127.0.0.1:1", "origin", origin).slice(-2)).toEqual([
    "origin",
    origin,
  ]);
});

describe("a Referer", () => {
  const seen = (referer: string) =>
    seenBy("local", "http://127.0.0.1:41000", "referer", referer).at(-1);

  test.each(["", "/", "/a/b?x=1", "?x=1"])("of a public page keeps its path: %s", (path) => {
    expect(seen(`https://${PUBLIC}${path}`)).toBe(`http://localhost:41000${path}`);
  });

  test.each([
    "",
    "/a",
    `http://${PUBLIC}/`,
    `https://${PUBLIC}.evil.example/`,
    `https://${PUBLIC}:444/`,
    `https://user@${PUBLIC}/`,
    `https://evil.example/https://${PUBLIC}/`,
  ])("of another page stays: %s", (referer) => {
    expect(seen(referer)).toBe(referer);
  });
});

describe("a redirect of the app", () => {
  const host = appHost(request(), "local", "http://127.0.0.1:41000");

  test.each([
    ["http://localhost:41000/next?x=1#y", `https://${PUBLIC}/next?x=1#y`],
    ["https://LOCALHOST:41000", `https://${PUBLIC}`],
    ["/next", "/next"],
    ["//localhost:41000/next", "//localhost:41000/next"],
    ["http://localhost:41001/next", "http://localhost:41001/next"],
    ["http://localhost:41000.evil.example/", "http://localhost:41000.evil.example/"],
    ["http://user@localhost:41000/", "http://user@localhost:41000/"],
    [
      "https://example.com/?next=http://localhost:41000/",
      "https://example.com/?next=http://localhost:41000/",
    ],
  ])("to %s leads to %s", (location, told) => {
    const headers = ["content-type", "text/plain", "location", location];
    expect(host?.toClient(headers)).toEqual(["content-type", "text/plain", "location", told]);
  });

  test("has its Content-Location changed alike, and no other header", () => {
    const url = "http://localhost:41000/a";
    const headers = ["content-location", url, "link", url];
    expect(host?.toClient(headers)).toEqual([
      "content-location",
      `https://${PUBLIC}/a`,
      "link",
      url,
    ]);
  });
});
