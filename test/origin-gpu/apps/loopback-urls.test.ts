import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { LoopbackPorts } from "../../../origin-gpu/apps/loopback-ports.ts";
import { LoopbackUrls } from "../../../origin-gpu/apps/loopback-urls.ts";
import { temporaryDirectory } from "../../support/temporary.ts";

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

test("an endpoint has the port that it had under the last agent, where that is free", async () => {
  const file = join(temporaryDirectory(), "ports.json");
  const own = { one: "http://a--one.localhost:8787", two: "http://a--two.localhost:8787" };
  const open = () => {
    const urls = new LoopbackUrls({
      notice: () => undefined,
      resolves: async () => false,
      ports: new LoopbackPorts(file),
    });
    onTestFinished(() => urls.close());
    return urls;
  };
  const first = open();
  const reached = await first.reachable(own);
  // While the last agent listens there, nobody else can.
  const other = await open().reachable({ one: own.one });
  expect(other["one"]).not.toBe(reached["one"]);
  writeFileSync(file, JSON.stringify(portsOf(own, reached)));
  await first.close();
  expect(await open().reachable(own)).toEqual(reached);
});

test("a file that is none of its own is as no file", async () => {
  const file = join(temporaryDirectory(), "ports.json");
  writeFileSync(file, '{"http://a--one.localhost:8787/": -1}');
  expect(new LoopbackPorts(file).portOf("http://a--one.localhost:8787/")).toBe(0);
});

function portsOf(own: Record<string, string>, reached: Record<string, string>) {
  const ports = Object.entries(own).map(([name, url]) => {
    return [new URL(url).href, Number(new URL(reached[name] ?? "").port)];
  });
  return Object.fromEntries(ports) as Record<string, number>;
}
