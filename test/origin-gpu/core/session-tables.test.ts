import { expect, test } from "vitest";

import { SessionTables } from "../../../origin-gpu/core/session-tables.ts";

test("sets that clients choose push out those that were used longest ago, and no function", () => {
  const tables = new SessionTables(2);
  const [plain, first, second] = [tables.of("f"), tables.of("g", "1"), tables.of("g", "2")];
  expect(tables.of("g", "1")).toBe(first);
  tables.of("g", "3");
  expect(tables.of("f")).toBe(plain);
  expect(tables.of("g", "1")).toBe(first);
  expect(tables.of("g", "2")).not.toBe(second);
  expect(tables.of("f", "1")).not.toBe(first);
});
