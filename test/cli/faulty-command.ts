/** A command that keeps running and has the faults that its arguments name, one after the other. */
import { writeFileSync } from "node:fs";
import { Observer, textSink } from "../../base/observer.ts";
import { surviveFaults } from "../../cli/survive-faults.ts";

const observer = new Observer({
  sinks: [
    textSink(
      (line) => console.log(line),
      () => "",
    ),
  ],
  now: Date.now,
});
surviveFaults(observer, async () => {
  await Promise.resolve();
  process.exit(1);
});
const FAULTS: Record<string, () => void> = {
  rejection: () => void Promise.reject(new Error("a promise without an owner")),
  disk: () => {
    // What a write on a full disk throws.
    writeFileSync("/dev/full", "x");
  },
  bug: () => {
    throw new TypeError("undefined is not a function");
  },
};
for (const [index, name] of process.argv.slice(2).entries()) {
  setTimeout(() => FAULTS[name]?.(), 10 * index);
}
setTimeout(() => {
  console.log("still running");
}, 200);
