/** Containers of endpoints whose sessions are in one of two. */
import { expect, vi } from "vitest";

import type { ApiContainer } from "../../../api/containers.ts";
import { type Gateway, startCommand } from "../harness.ts";

const READY_TIMEOUT_MS = 120_000;

/** Each is asked by turns, where nothing leads a request to its session. */
export const OF_TWO = { target_inputs: 1, min_containers: 2, max_containers: 2 };

/** Waits until two containers of each of these endpoints are ready. */
export async function twoAreReady(
  { stateDirectory }: Gateway,
  ...functionNames: readonly string[]
): Promise<void> {
  const areReady = async () => {
    const list = startCommand(["container", "list", "--json", "--state", stateDirectory]);
    await list.exited;
    const ready = (JSON.parse(list.stdout) as ApiContainer[])
      .filter(({ state }) => state === "ready")
      .map(({ endpoint }) => endpoint.split("/").at(-1));
    for (const name of functionNames) {
      expect(ready.filter((one) => one === name)).toEqual([name, name]);
    }
  };
  await vi.waitFor(areReady, { timeout: READY_TIMEOUT_MS, interval: 200 });
}
