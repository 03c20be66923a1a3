import { readFileSync } from "node:fs";
import { expect, test } from "vitest";

interface Package {
  version: string;
  dependencies: Record<string, string>;
}

function read(path: string): Package {
  return JSON.parse(readFileSync(new URL(path, import.meta.url), "utf8")) as Package;
}

test("the workerd that runs gateways is the one that wrangler and its tests use", () => {
  const ours = read("../package.json").dependencies["workerd"];
  expect(read("../node_modules/wrangler/package.json").dependencies["workerd"]).toBe(ours);
  expect(read("../node_modules/miniflare/package.json").dependencies["workerd"]).toBe(ours);
  expect(read("../node_modules/workerd/package.json").version).toBe(ours);
});
