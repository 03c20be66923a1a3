/** An agent that has no descriptor left when it starts a container; it prints what comes of that. */
import { openSync } from "node:fs";
import { ProcessGroup } from "../../../origin-gpu/containers/process-group.ts";

const held: number[] = [];
try {
  for (;;) held.push(openSync("/dev/null", "r"));
} catch {
  // EMFILE: that is what the test needs.
}
const group = new ProcessGroup({
  command: ["true"],
  directory: "/",
  environment: {},
  markedBy: "POSTERN_CONTAINER_ID",
  onLine: (line) => console.log(line),
});
const { code } = await group.exited;
console.log(`ended with ${code}`);
console.log("the agent lives");
