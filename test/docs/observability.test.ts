/** docs/observability.md lists the events that there are, with when each is written, and their counters. */
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { EVENTS, type EventKind } from "../../base/events.ts";

const WRITTEN: Readonly<Record<EventKind<unknown>["level"], (topic: string) => string>> = {
  line: () => "always",
  state: (topic) => `JSON, topic \`${topic}\``,
  debug: (topic) => `topic \`${topic}\``,
};

const page = readFileSync(new URL("../../docs/observability.md", import.meta.url), "utf8");
const kinds = Object.entries<EventKind<unknown>>(EVENTS);

test("its table has each event, and says when it is written", () => {
  const rows = [...page.matchAll(/^\| `([a-z.]+)`\s*\| ([^|]+?)\s*\| `/gm)];
  const listed = Object.fromEntries(rows.map(([, name, written]) => [name, written]));
  const events = kinds.map(([name, { level, topic = "" }]) => [name, WRITTEN[level](topic)]);
  expect(listed).toEqual(Object.fromEntries(events));
});

test("its table has each counter, with its labels", () => {
  const rows = [...page.matchAll(/^\| `postern_([a-z_]+)_total`\s*\| ([^|]*?)\s*\|/gm)];
  const listed = Object.fromEntries(rows.map(([, name, labels]) => [name, labels]));
  const counted = kinds
    .filter(([, { level }]) => level !== "debug")
    .map(([name, { labels }]) => [
      name.replaceAll(".", "_"),
      labels.map((label) => `\`${label}\``).join(", "),
    ]);
  expect(listed).toEqual(Object.fromEntries(counted));
});
