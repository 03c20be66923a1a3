/** Prints more to stderr than any terminal takes unread, then says on stdout that it still runs. */
import { spawnSync } from "node:child_process";
import { observer } from "../../../cli/observer.ts";

// A child that inherits stderr makes it blocking for all that share it.
spawnSync("true", { stdio: ["ignore", "ignore", "inherit"] });
for (let count = 0; count < 3_000; count += 1) observer.notice("x".repeat(999));
setTimeout(() => {
  console.log("alive");
  process.exit(0);
}, 100);
