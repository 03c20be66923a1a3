/** The disk of a box is full, and many calls are refused for it: the box's log says so in a few lines. */
import { rmSync, statfsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";

import { writeDeployable } from "../support/deployable.ts";
import { startCommand, startGateway } from "../support/harness.ts";
import { send } from "../support/http-client.ts";
import { mountSmallDisk } from "../support/small-disk.ts";
import { temporaryDirectory } from "../support/temporary.ts";

const CALLS = 100;

/** Within this time (base/bounded-notices.ts) so many equal lines pass, with the one that counts the rest. */
const WINDOW_MS = 10_000;
const MOST_EQUAL_LINES = 6;

test(`${CALLS} calls that find no room make a few lines, and calls are taken once there is room`, async (context) => {
  const disk = mountSmallDisk(32 * 1024);
  if (disk === undefined) {
    context.skip("needs the right to mount a tmpfs");
    return;
  }
  onTestFinished(() => disk.unmount());
  const gateway = await startGateway({ flags: ["--rate-limit", "0"] });
  onTestFinished(async () => await gateway.stop());
  const { stateDirectory: state, port } = gateway;
  const box = startCommand(["origin", "--name", "box", "--state", join(disk.path, "state")], {
    env: { POSTERN_CONFIG_PATH: join(state, "profile.toml") },
  });
  onTestFinished(async () => void (await box.stop()));
  await box.waitForErrorOutput(/box is connected/);
  const app = join(temporaryDirectory(), "shop");
  writeDeployable(app, "shop", "here", { web: {} });
  const deployment = startCommand(["deploy", join(app, "postern.toml"), "--state", state]);
  expect((await deployment.exited).code, deployment.stderr).toBe(0);
  const address = { port, host: `tests--shop-web.localhost:${port}` };
  const begin = async (): Promise<number> => {
    const headers = { prefer: "respond-async" };
    return (await send(address, "/", { method: "POST", headers, body: "question" })).status;
  };
  expect(await begin()).toBe(202);

  const filler = join(disk.path, "filler");
  const { bavail, bsize } = statfsSync(disk.path);
  try {
    writeFileSync(filler, Buffer.alloc((bavail + 1) * bsize));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOSPC") throw error;
  }
  const startedAt = performance.now();
  const before = box.stderr.length;
  const statuses: number[] = [];
  for (let call = 0; call < CALLS; call += 1) statuses.push(await begin());
  // The last blocks that are there may hold the records of some.
  expect(statuses.filter((status) => status === 503).length).toBeGreaterThan(CALLS / 2);
  const windows = Math.ceil((performance.now() - startedAt) / WINDOW_MS) + 1;
  await box.waitForErrorOutput(/calls cannot be recorded: Error: ENOSPC/);
  const lines = box.stderr.slice(before).match(/calls cannot be recorded/g) ?? [];
  expect(lines.length).toBeLessThanOrEqual(windows * MOST_EQUAL_LINES);

  rmSync(filler);
  expect(await begin()).toBe(202);
});
