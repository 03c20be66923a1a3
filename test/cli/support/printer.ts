/** Prints more to stderr than any terminal takes unread, then says on stdout that it still runs. */
import { observer } from "../../../cli/observer.ts";

for (let count = 0; count < 3_000; count += 1) observer.notice("x".repeat(999));
setTimeout(() => {
  console.log("alive");
  process.exit(0);
}, 100);
