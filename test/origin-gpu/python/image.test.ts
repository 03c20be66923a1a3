/** What an app says of its image, as the command reads it. */
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { expect, test } from "vitest";
import { ROOT } from "../../support/harness.ts";

const PROGRAM = `
import postern as modal

print(modal.Image.debian_slim().add_local_file("~/weights.bin", "/weights").files[0].local)
`;

test("a local file may be named from the home directory on", () => {
  const env = {
    ...process.env,
    HOME: "/home/somebody",
    PYTHONPATH: join(ROOT, "origin-gpu/python"),
  };
  const printed = execFileSync("python3", ["-c", PROGRAM], { env, encoding: "utf8" });
  expect(printed.trim()).toBe("/home/somebody/weights.bin");
});
