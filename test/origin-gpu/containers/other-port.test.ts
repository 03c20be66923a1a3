/** A server that listens where it was not told to is looked for while it starts, wherever its processes have gone. */
import { expect, onTestFinished, test } from "vitest";
import { MARK } from "../../../origin-gpu/containers/container-run.ts";
import { listensElsewhere, lookForOtherPort } from "../../../origin-gpu/containers/other-port.ts";
import { ManagedProcess } from "../../support/processes.ts";
import { freePort } from "../../support/temporary.ts";
import { VirtualClock } from "../../support/virtual-clock.ts";
import { HERE } from "./endpoint.ts";

/** Looks at a container whose server listens elsewhere from then on. */
function looking(listensAtMs: number) {
  const clock = new VirtualClock();
  const looks: number[] = [];
  const told: string[] = [];
  const look = (): string | undefined => {
    looks.push(clock.now() / 1_000);
    return clock.now() >= listensAtMs ? "elsewhere" : undefined;
  };
  const stop = lookForOtherPort(look, (text) => told.push(text), clock.timer);
  return { clock, looks, told, stop };
}

test("it is looked for ever more rarely, up to once a minute, and told of once", async () => {
  const { clock, looks, told } = looking(200_000);
  await clock.advance(600_000);
  expect(looks).toEqual([5, 15, 35, 75, 135, 195, 255]);
  expect(told).toEqual(["elsewhere"]);
  expect(clock.pending).toBe(0);
});

test("it is looked for no more when the start is over", async () => {
  const { clock, looks, stop } = looking(Infinity);
  await clock.advance(20_000);
  stop();
  await clock.advance(600_000);
  expect(looks).toEqual([5, 15]);
  expect(clock.pending).toBe(0);
});

test("without a supervisor a server in a session of its own is found by the container's id", async () => {
  const [port, other] = [await freePort(), await freePort()];
  const server = [process.execPath, `${HERE}server.ts`, "--port", `${other}`] as const;
  const managed = new ManagedProcess(["setsid", "--wait", ...server], {
    env: { ...process.env, [MARK]: "ct-1" },
  });
  onTestFinished(() => managed.killTree());
  await managed.waitForOutput(/^server pid/m);
  const container = { id: "ct-1", leader: managed.pid, supervisor: undefined };
  const found = `it listens on 127.0.0.1:${other}, and not on the port that it was given, ${port}`;
  await expect.poll(() => listensElsewhere(container, port)).toContain(found);
  expect(listensElsewhere(container, other)).toBeUndefined();
  expect(listensElsewhere({ ...container, leader: undefined }, port)).toBeUndefined();
});
