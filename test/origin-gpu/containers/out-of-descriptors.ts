/**
 * An agent that has few descriptors left when it starts a container: none, then one, and so on. It prints what comes of
 * each start, and of one with descriptors again.
 */
import { closeSync, openSync } from "node:fs";
import { setTimeout } from "node:timers/promises";
import { startContainer } from "../../../origin-gpu/containers/start-container.ts";
import { listening, plainPython, serverEndpoint } from "./endpoint.ts";

/** A start needs as many at least: the two ends of four pipes, of which Node gives the child one each. */
const MOST_FREE = 7;

async function start(): Promise<string> {
  const container = startContainer({
    endpoint: serverEndpoint(),
    environment: {},
    usePython: plainPython,
    ...listening((line) => console.log(line)),
  });
  const outcome = await container.ready.then(
    () => "ready",
    (error: Error) => `failed: ${error.message}`,
  );
  await container.stop();
  return outcome;
}

/** Opens all descriptors that are left; whether there were any. */
function fill(held: number[]): boolean {
  const before = held.length;
  try {
    for (;;) held.push(openSync("/dev/null", "r"));
  } catch {
    // EMFILE: that is what the test needs.
    return held.length > before;
  }
}

for (let free = 0; free <= MOST_FREE; free += 1) {
  const held: number[] = [];
  // What was closed in the background is free a moment later only.
  while (fill(held)) await setTimeout(50);
  for (const descriptor of held.splice(0, free)) closeSync(descriptor);
  console.log(`with ${free}: ${await start()}`);
  for (const descriptor of held) closeSync(descriptor);
}
console.log(`with enough: ${await start()}`);
