import { readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";

import { CodeHistory } from "../../../origin-gpu/apps/code-history.ts";
import { temporaryDirectory } from "../../support/temporary.ts";

describe("what code the apps of a box have run", () => {
  test("is remembered newest first, the last five of each app, over a restart", async () => {
    const file = join(temporaryDirectory(), "history.json");
    const history = await CodeHistory.open(file);
    for (const hash of ["1", "2", "3", "4", "5", "6"]) {
      await history.note(new Map([["ap-1", [hash]]]));
    }
    await history.note(new Map([["ap-1", ["2"]]]));
    const again = await CodeHistory.open(file);
    expect(again.hashes).toEqual(["2", "6", "5", "4", "3"]);
    expect(statSync(file).mode & 0o777).toBe(0o600);
  });

  test("goes with its app", async () => {
    const history = await CodeHistory.open(join(temporaryDirectory(), "history.json"));
    await history.note(
      new Map([
        ["ap-1", ["1"]],
        ["ap-2", ["2", "3"]],
      ]),
    );
    await history.note(new Map([["ap-2", []]]));
    expect(history.hashes).toEqual(["2", "3"]);
  });

  test("is written only when it has changed", async () => {
    const file = join(temporaryDirectory(), "history.json");
    const history = await CodeHistory.open(file);
    await history.note(new Map([["ap-1", ["1"]]]));
    writeFileSync(file, "touched");
    await history.note(new Map([["ap-1", ["1"]]]));
    expect(readFileSync(file, "utf8")).toBe("touched");
  });

  test("is nothing where the file is torn", async () => {
    const file = join(temporaryDirectory(), "history.json");
    writeFileSync(file, '{"ap-1": ["1"');
    expect((await CodeHistory.open(file)).hashes).toEqual([]);
  });
});
