/**
 * Models that share one GPU, played by the clock: a gateway, an agent with one declared GPU, and servers whose GPU is a
 * directory (test/support/apps/gpu-server.ts). It throws where a call is not answered whole by its model, where one is
 * begun twice, or where two models have the GPU at once.
 */
import { setTimeout as delay } from "node:timers/promises";
import { SECOND_MS } from "../../../base/units.ts";
import { gpuModel } from "../../support/gpu-model.ts";
import { type Gateway, startUp } from "../../support/harness.ts";
import { send } from "../../support/http-client.ts";
import { temporaryDirectory } from "../../support/temporary.ts";
import type { Arrival, SimulatedModel } from "./traffic.ts";
import type { SwapResult } from "./virtual-gpu.ts";

const PATIENCE_S = 3_600;

/** A server gives its memory back as soon as it is asked to end. @param models without a time to stop */
export async function playSwaps(
  models: readonly SimulatedModel[],
  arrivals: readonly Arrival[],
): Promise<SwapResult> {
  const cards = temporaryDirectory();
  const settings = {
    gpus: 1,
    max_containers: 1,
    scaledown_window: 1_200,
    startup_timeout: PATIENCE_S,
    timeout: PATIENCE_S,
    request_timeout: false,
  };
  const endpoints = models.map(({ name, loadMs }) =>
    gpuModel(name, cards, { ...settings, env: { LOAD_MS: `${loadMs}` } }),
  );
  const postern = await startUp(endpoints, { env: { POSTERN_GPUS: "H100:80GiB" } });
  try {
    // Each start that proves an endpoint comes before the traffic.
    for (const { name } of models) await ask(postern, name, 0);
    const loadsBefore = loadsOf(postern, models);
    const begunAt = performance.now();
    const waitsMs = await Promise.all(
      arrivals.map(async ({ atMs, model, callMs }) => {
        await delay(begunAt + atMs - performance.now());
        const startedAt = performance.now();
        await ask(postern, models[model]?.name ?? "", Math.ceil(callMs));
        return Math.max(0, performance.now() - startedAt - Math.ceil(callMs));
      }),
    );
    const endMs = performance.now() - begunAt;
    const begun = count(postern, /begins \/slow/g) - models.length;
    if (begun !== arrivals.length) throw new Error(`${begun} of ${arrivals.length} calls begun`);
    if (count(postern, /out of memory/g) > 0) throw new Error("two models had the GPU at once");
    const loads = loadsOf(postern, models).map((times, model) => times - (loadsBefore[model] ?? 0));
    // The last model of those before has the GPU at the beginning: that load counts too.
    loads[models.length - 1] = (loads.at(-1) ?? 0) + 1;
    return {
      waitsMs,
      loads: loads.reduce((sum, times) => sum + times, 0),
      loadingMs: loads.reduce((sum, times, model) => sum + times * (models[model]?.loadMs ?? 0), 0),
      endMs,
    };
  } finally {
    await postern.stop();
  }
}

async function ask(postern: Gateway, name: string, callMs: number): Promise<void> {
  const options = { timeoutMs: PATIENCE_S * SECOND_MS };
  const { status, text } = await send(postern.address(name), `/slow?ms=${callMs}`, options);
  if (status !== 200 || (JSON.parse(text) as { name: string }).name !== name) {
    throw new Error(`a call of ${name} got ${status}: ${text}`);
  }
}

/** How often each model was loaded. */
function loadsOf(postern: Gateway, models: readonly SimulatedModel[]): number[] {
  return models.map(({ name }) => count(postern, new RegExp(`${name} loads on`, "g")));
}

function count({ process: { stdout, stderr } }: Gateway, line: RegExp): number {
  return [...(stdout + stderr).matchAll(line)].length;
}
