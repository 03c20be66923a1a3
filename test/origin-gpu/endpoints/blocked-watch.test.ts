/** What the operator hears of calls that wait for places. */
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Pool } from "../../../origin-gpu/core/pool.ts";
import { BlockedWatch } from "../../../origin-gpu/endpoints/blocked-watch.ts";
import { poolSettings } from "../../../origin-gpu/endpoints/pool-settings.ts";
import { endpointConfig } from "../containers/endpoint.ts";

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
});
afterEach(() => {
  vi.useRealTimers();
});

test("the operator hears when others hold every place for long, and not of a queue that moves", () => {
  const lines: string[] = [];
  const kind = { type: "web_server", command: ["app"] } as const;
  const settings = endpointConfig({ kind, function: "ui" });
  const noCounts = new Pool(poolSettings(settings)).counts;
  let waiting = 2;
  const counts = () => ({ ...noCounts, ready: 1, waiting });
  const watch = new BlockedWatch(settings, counts, (line) => lines.push(line));
  const [moving, next] = [{}, {}];
  watch.onHeld(moving);
  watch.onWaiting();
  vi.advanceTimersByTime(15_000);
  watch.onFree(moving);
  watch.onHeld(next);
  waiting = 1;
  vi.advanceTimersByTime(19_000);
  expect(lines).toEqual([]);
  vi.advanceTimersByTime(1_000);
  expect(lines).toEqual([
    "postern: 1 of 1 places of ui are held for 20 s and more, 1 request waits: raise max_inputs or max_containers",
  ]);
  watch.onFree(next);
  waiting = 0;
  vi.advanceTimersByTime(60_000);
  expect(lines).toHaveLength(1);
});
