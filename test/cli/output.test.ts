import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { expect, test } from "vitest";

test("a slow reader of results gets them all, although the command ends by itself", async () => {
  const script = join(import.meta.dirname, "support/results.ts");
  const command = spawn("sh", ["-c", `"$0" "$1" | (sleep 1; wc -c)`, process.execPath, script], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let counted = "";
  command.stdout.on("data", (chunk: Buffer) => (counted += chunk.toString()));
  await once(command, "close");
  expect(counted.trim()).toBe("1000000");
});
