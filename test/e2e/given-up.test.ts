/**
 * An app that works on a call that nobody waits for keeps its GPU busy: the call keeps its slot, and an
 * app that does not come to an end is replaced.
 */
import { afterEach, expect, test } from "vitest";

import { APPS, type Gateway, startUp } from "../support/harness.ts";
import { send } from "../support/http-client.ts";
import { RawConnection } from "../support/raw-http.ts";
import { ensureVenv } from "../support/venv.ts";

let postern: Gateway;
afterEach(async () => await postern.stop());

async function start(settings: {
  max_inputs: number;
  exit_grace_period: number;
  timeout?: number;
}): Promise<void> {
  postern = await startUp([
    {
      function: "web",
      asgi: "stubborn_app:app",
      directory: APPS,
      python: await ensureVenv(),
      ...settings,
    },
  ]);
}

/** The process that answers. */
async function pid(path = "/pid"): Promise<number> {
  return (await send(postern.address(), path, { timeoutMs: 30_000 })).json() as number;
}

/** Sends a request whose client leaves as soon as the app is at work on it. */
async function giveUp(path: string, begun: RegExp): Promise<void> {
  const { port, host } = postern.address();
  const connection = await RawConnection.connect(port);
  connection.send(`GET ${path} HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
  await postern.process.waitForErrorOutput(begun);
  connection.reset();
}

function isAlive(process_: number): boolean {
  try {
    return process.kill(process_, 0);
  } catch {
    return false;
  }
}

test("the next call begins when the app has come to the end of the one that was given up", async () => {
  await start({ max_inputs: 1, exit_grace_period: 20 });
  const before = await pid();
  await giveUp("/thread?seconds=2", /thread begins/);
  expect(await pid()).toBe(before);
  await postern.process.waitForErrorOutput(/thread ends/);
  expect(postern.process.stderr).not.toContain("takes its place");
});

test.each(["plain", "items"])(
  "a function on a thread keeps its place until its end: %s",
  async (name) => {
    const python = { directory: APPS, python: await ensureVenv() };
    postern = await startUp([{ function: "web", callable: `callables:${name}`, ...python }]);
    await giveUp("/", new RegExp(`${name} begins`));
    expect((await send(postern.address(), "/", { timeoutMs: 30_000 })).text).toContain("done");
    await expect
      .poll(() => postern.process.stderr.match(/(?:begins|ends)$/gm))
      .toEqual(["begins", "ends", "begins", "ends"]);
  },
);

test("an app that swallows its cancellation is replaced after the grace period, and ended", async () => {
  await start({ max_inputs: 1, exit_grace_period: 2 });
  const before = await pid();
  await giveUp("/swallow", /swallow begins/);
  const leftAtMs = performance.now();
  expect(await pid()).not.toBe(before);
  expect(performance.now() - leftAtMs).toBeGreaterThan(2_000);
  await postern.process.waitForErrorOutput(
    /\[web\] postern: it still works on a call that ended 2 s ago \([\w-]+\); another container takes its place/,
  );
  await postern.process.waitForErrorOutput(/swallow goes on/);
  await expect.poll(() => isAlive(before), { timeout: 15_000 }).toBe(false);
});

test("an app that blocks its event loop is replaced, and killed when its other calls are over", async () => {
  await start({ max_inputs: 2, exit_grace_period: 1, timeout: 4 });
  const before = await pid();
  await giveUp("/block?seconds=3600", /block begins/);
  // The other place is at the container that can't answer.
  const other = send(postern.address(), "/pid", { timeoutMs: 60_000 });
  await postern.process.waitForErrorOutput(/takes its place/);
  expect(await pid()).not.toBe(before);
  expect((await other).status).toBe(504);
  await expect.poll(() => isAlive(before), { timeout: 15_000 }).toBe(false);
});

test("other calls of a container that is replaced are finished by it", async () => {
  await start({ max_inputs: 2, exit_grace_period: 2 });
  const before = await pid();
  const other = pid("/slow?seconds=3");
  await postern.process.waitForErrorOutput(/slow begins/);
  await giveUp("/swallow", /swallow begins/);
  await postern.process.waitForErrorOutput(/takes its place/);
  expect(await pid()).not.toBe(before);
  expect(await other).toBe(before);
});

test("a call that ends at its disconnect costs the next one nothing", async () => {
  await start({ max_inputs: 1, exit_grace_period: 20 });
  const before = await pid();
  for (let round = 0; round < 5; round += 1) {
    const { port, host } = postern.address();
    const connection = await RawConnection.connect(port);
    connection.send(`GET /pid HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
    connection.reset();
  }
  expect(await pid()).toBe(before);
  expect(postern.process.stderr).not.toContain("takes its place");
});
