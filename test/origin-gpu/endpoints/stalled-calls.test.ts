/** A stalled call gives way to whichever call waits behind it, however that one came to wait. */
import { join } from "node:path";
import { expect, test, vi } from "vitest";
import { temporaryDirectory } from "../../support/temporary.ts";
import { serverEndpoint } from "../containers/endpoint.ts";
import { CARDS, GpuBox, ONE_GPU } from "./gpu-box.ts";
import { endpointOf, open, PATIENCE, StandInCall } from "./stand-in-call.ts";

const STALL = { stallTimeout: 0.1, timeout: 60 };

/** The app waits for its client from the moment that it has the call. */
class StalledCall extends StandInCall {
  get stalledSinceMs(): number | undefined {
    return this.container === undefined ? undefined : this.openedAt;
  }

  cut(): void {
    this.fail({ code: "upload_interrupted", detail: "" });
  }
}

test("a call that another version had does not wait for a stalled one without end", async () => {
  const settings = serverEndpoint([], STALL);
  const { endpoint } = endpointOf(settings, { isProved: true });
  const [stalled, waiting] = [new StalledCall("/slow"), new StandInCall("/")];
  for (const call of [stalled, waiting]) endpoint.takeOver(call.asCall, settings, 0);
  expect(await stalled.outcome).toBe("upload_interrupted");
  expect(await waiting.outcome).toBe(200);
});

test("nor does one that waits again after its container died", async () => {
  const retries = { maxRetries: 1, initialDelay: 2.5, backoffCoefficient: 1, maxDelay: 60 };
  const settings = serverEndpoint([], { ...STALL, retries });
  const { endpoint, lines } = endpointOf(settings, { isProved: true });
  const target = `/crash-once${join(temporaryDirectory(), "crashed")}`;
  const waiting = open(endpoint, settings, new StandInCall(target));
  await vi.waitFor(
    () => expect(lines.join("\n")).toContain("ended by itself with code 7"),
    PATIENCE,
  );
  const stalled = open(endpoint, settings, new StalledCall("/slow"));
  expect(await stalled.outcome).toBe("upload_interrupted");
  expect(await waiting.outcome).toBe(200);
});

test("nor does another endpoint that waits for its GPU", async () => {
  const box = new GpuBox(CARDS.slice(0, 1));
  const [first, second] = [box.model("a", { ...ONE_GPU, ...STALL }), box.model("b", ONE_GPU)];
  const stalled = first.send(new StalledCall("/slow?ms=3000"));
  await box.told("a begins /slow");
  expect((await second.ask()).name).toBe("b");
  expect(await stalled.outcome).toBe("upload_interrupted");
});

test("a container that has nothing of the box lets a stalled call be, though it is to end", async () => {
  const box = new GpuBox([]);
  const model = box.model("a", STALL);
  const stalled = model.send(new StalledCall("/slow?ms=2500"));
  await box.told("a begins /slow");
  expect(model.endpoint.stopContainer(stalled.container ?? "")).toBe(true);
  expect(await stalled.outcome).toBe(200);
});
