/**
 * An agent in a process of its own, with a state directory that outlives it: what a test kills and starts
 * again. Its options are one argument of JSON. On SIGUSR2 it collects its garbage and prints its memory.
 */
import { readFileSync } from "node:fs";

import { Observer, textSink } from "../../../base/observer.ts";
import type { BoxEnrolment } from "../../../auth/box-credential.ts";
import { startAgent } from "../../../origin-gpu/agent.ts";
import { parseConfig } from "../../../origin-gpu/config/config.ts";

/** What a box is told by `startBox`. */
export interface BoxOptions {
  readonly gatewayUrl: string;
  readonly enrolment: BoxEnrolment;
  readonly stateDirectory?: string;
  readonly links: number;
  readonly waitingHeadsBytes?: number;
  readonly configFile: string;
}

const { configFile, ...options } = JSON.parse(process.argv[2] ?? "{}") as BoxOptions;
const parsed = parseConfig(readFileSync(configFile, "utf8"), configFile);
if (!parsed.ok) throw new Error(JSON.stringify(parsed.problems));
const agent = await startAgent({
  ...options,
  announced: parsed.config,
  observer: new Observer({
    sinks: [
      textSink(
        (line) => console.error(line),
        () => "",
      ),
    ],
    now: Date.now,
  }),
});
console.log(`ready ${agent.urls.map(({ url }) => url).join(" ")}`);
let asked = 0;
process.on("SIGUSR2", () => {
  asked += 1;
  // Twice: what the first leaves to finalizers the second collects.
  for (let round = 0; round < 2; round += 1) globalThis.gc?.();
  console.log(`memory ${asked} ${JSON.stringify(process.memoryUsage())}`);
});
process.once("SIGINT", () => void agent.close().then(() => process.exit(0)));
