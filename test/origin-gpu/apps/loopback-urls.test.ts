import { expect, onTestFinished, test } from "vitest";
import { LoopbackUrls } from "../../../origin-gpu/apps/loopback-urls.ts";

function start(known: readonly string[], maxProxies = 10) {
  const notices: string[] = [];
  const urls = new LoopbackUrls({
    notice: (line) => void notices.push(line),
    resolves: async (host) => known.includes(host),
    maxProxies,
  });
  onTestFinished(() => urls.close());
  return { urls, notices };
}

test("an endpoint under localhost has another URL only where the resolver does not know its name", async () => {
  const { urls } = start(["known.localhost"]);
  const own = {
    known: "http://known.localhost:8787",
    // A name of the public DNS is never asked for: an outage must not change what a container gets.
    public: "https://shop.example",
    plain: "http://localhost.example",
  };
  const reached = await urls.reachable({ ...own, unknown: "http://unknown.localhost:8787" });
  expect(reached).toMatchObject(own);
  expect(reached["unknown"]).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
});

test("an endpoint has one URL in all versions of its app, and endpoints have different ones", async () => {
  const { urls } = start([]);
  const own = { one: "http://a--one.localhost:8787", two: "http://a--two.localhost:8787" };
  const [first, second] = await Promise.all([urls.reachable(own), urls.reachable(own)]);
  expect(second).toEqual(first);
  expect(first["one"]).not.toBe(first["two"]);
});

test("past the bound an endpoint keeps its own URL, and the log says so", async () => {
  const { urls, notices } = start([], 1);
  await urls.reachable({ one: "http://a--one.localhost:8787" });
  const two = { two: "http://a--two.localhost:8787" };
  expect(await urls.reachable(two)).toEqual(two);
  expect(notices).toEqual([expect.stringContaining("a--two.localhost")]);
});
