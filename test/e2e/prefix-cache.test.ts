/** Conversations with an LLM server on four containers of two boxes: how many requests find their beginning cached. */
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";

import { APPS } from "../support/harness.ts";
import { send } from "../support/http-client.ts";
import { TwoBoxes } from "../support/sessions/two-boxes.ts";

const CONVERSATIONS = 32;
const TURNS = 5;

let boxes: TwoBoxes;
beforeAll(async () => {
  boxes = await TwoBoxes.start();
  const base = {
    web_server: ["node", "prefix-cache-server.ts"],
    max_inputs: 16,
    min_containers: 4,
    max_containers: 4,
  };
  await boxes.deploy(
    [join(APPS, "prefix-cache-server.ts")],
    [
      { ...base, function: "llm", affinity: "llm" },
      { ...base, function: "none" },
    ],
  );
});
afterAll(async () => await boxes.stop());

/** Has conversations at once; returns the part of the requests after the first ones that found a cached beginning. */
async function hitRate(functionName: string): Promise<number> {
  let hits = 0;
  const converse = async (number: number): Promise<void> => {
    const messages = [{ role: "system", content: "Be brief." }];
    for (let turn = 0; turn < TURNS; turn += 1) {
      messages.push({ role: "user", content: `${number}: question ${turn}` });
      const answer = await send(boxes.address(functionName), "/v1/chat/completions", {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ model: "toy", messages }),
      });
      expect(answer.status, answer.text).toBe(200);
      const { isCached } = answer.json() as { isCached: boolean };
      if (turn > 0 && isCached) hits += 1;
      messages.push({ role: "assistant", content: "yes" });
    }
  };
  await Promise.all(
    Array.from({ length: CONVERSATIONS }, async (_, number) => await converse(number)),
  );
  return hits / (CONVERSATIONS * (TURNS - 1));
}

test("nearly all do with the preset llm, and a part of them without", async () => {
  const [llm, none] = [await hitRate("llm"), await hitRate("none")];
  console.log(`cached: ${llm.toFixed(2)} with the preset llm, ${none.toFixed(2)} without`);
  expect(llm).toBeGreaterThan(0.9);
  expect(none).toBeLessThan(0.8);
});
