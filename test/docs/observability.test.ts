/** docs/observability.md lists the events that there are, with when each is written. */
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { EVENTS, type EventKind } from "../../base/events.ts";

const WRITTEN: Readonly<Record<EventKind<unknown>["level"], (topic: string) => string>> = {
  line: () => "always",
  state: (topic) => `JSON, topic \`${topic}\``,
  debug: (topic) => `topic \`${topic}\``,
};

test("its table has each event, and says when it is written", () => {
  const page = readFileSync(new URL("../../docs/observability.md", import.meta.url), "utf8");
  const rows = [...page.matchAll(/^\| `([a-z.]+)`\s*\| ([^|]+?)\s*\| `/gm)];
  const listed = Object.fromEntries(rows.map(([, name, written]) => [name, written]));
  const events = Object.entries<EventKind<unknown>>(EVENTS).map(([name, { level, topic = "" }]) => [
    name,
    WRITTEN[level](topic),
  ]);
  expect(listed).toEqual(Object.fromEntries(events));
});
