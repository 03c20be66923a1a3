/** A command that is asked to stop before it is up ends, whatever it was waiting for. */
import { once } from "node:events";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { expect, onTestFinished, test } from "vitest";
import { isAlive, processTree } from "../support/processes.ts";
import { temporaryDirectory } from "../support/temporary.ts";
import { startPostern, startPosternGateway } from "./postern.ts";

/** Far below the 30 s that an agent once lived on, far above what a busy machine needs. */
const SOON_MS = 10_000;

test("origin ends while no gateway can be reached", async () => {
  const gateway = await startPosternGateway();
  const state = join(temporaryDirectory(), "box-state");
  const args = ["origin", "--state", state];
  const config = join(temporaryDirectory(), "none.toml");
  const env = { POSTERN_CONFIG_PATH: config };
  const profile = join(gateway.state, "profile.toml");
  const first = startPostern(args, { env: { ...env, POSTERN_CONFIG_PATH: profile } });
  await first.waitForErrorOutput(/ is connected to http/);
  await first.stop("SIGTERM");
  await gateway.process.stop();

  const origin = startPostern(args, { env });
  await origin.waitForErrorOutput(/cannot reach the gateway/);
  const askedAt = performance.now();
  process.kill(origin.pid, "SIGINT");
  expect(await origin.exited).toEqual({ code: 1, signal: null });
  expect(performance.now() - askedAt).toBeLessThan(SOON_MS);
  expect(origin.stderr).toContain("stopped before the app was there");
  // It may have waited for hours, as a service does after its machine's start.
  expect(origin.stderr).toMatch(/^[-0-9]{10}T[:.0-9]{12}Z cannot reach the gateway/m);
});

test.each([["origin"], ["serve", "postern.toml"], ["forward", "9"]])(
  "%s ends while its gateway is there and does not answer",
  async (...args) => {
    const connected = Promise.withResolvers<undefined>();
    const silent = createServer(() => connected.resolve(undefined)).listen(0, "127.0.0.1");
    onTestFinished(() => void silent.close());
    await once(silent, "listening");
    const cwd = temporaryDirectory();
    writeFileSync(
      join(cwd, "postern.toml"),
      `app = "a"\n[[endpoint]]\nfunction = "web"\nupstream = "http://127.0.0.1:9"\n`,
    );
    const env = {
      POSTERN_URL: `http://127.0.0.1:${(silent.address() as AddressInfo).port}`,
      POSTERN_TOKEN_ID: "ak-local-aaaaaaaaaaaaaaaaaaaaaaaaaa",
      POSTERN_TOKEN_SECRET: "as-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
      POSTERN_ENVIRONMENT: "main",
    };
    const command = startPostern(args, { cwd, env });
    await Promise.race([connected.promise, command.exited]);
    const askedAt = performance.now();
    process.kill(command.pid, "SIGINT");
    expect(await command.exited).toEqual({ code: 1, signal: null });
    expect(performance.now() - askedAt).toBeLessThan(SOON_MS);
    expect(command.stderr).toMatch(/^postern: stopped before the app was there$/m);
  },
);

test("up that is stopped while it starts says so in one line, and leaves nothing behind", async () => {
  for (const child of ["esbuild", "workerd"]) {
    const state = join(temporaryDirectory(), "state");
    const up = startPostern(["up", "--port", "0", "--state", state]);
    const tree = await untilInTree(up.pid, child);
    // A terminal sends Ctrl-C to every process of the command.
    for (const pid of tree) if (isAlive(pid)) process.kill(pid, "SIGINT");
    expect((await up.exited).code).toBe(1);
    expect(up.stderr).not.toMatch(/^\s+at /m);
    expect(up.stderr).toMatch(/^postern: (stopped|can't bundle|workerd)/m);
    expect(tree.filter(isAlive)).toEqual([]);
    expect(existsSync(join(state, "gateway.json"))).toBe(false);
  }
});

test("a second Ctrl-C does not wait for an app that ignores SIGTERM", async () => {
  const cwd = temporaryDirectory();
  writeFileSync(join(cwd, "stubborn.mjs"), STUBBORN);
  writeFileSync(
    join(cwd, "postern.toml"),
    `app = "stubborn"\n[[endpoint]]\nfunction = "web"\nweb_server = ["node", "stubborn.mjs"]\n`,
  );
  const up = startPostern(["up", "--port", "0", "--config", "postern.toml"], { cwd });
  await up.waitForErrorOutput(/stubborn app is up/);
  const tree = processTree(up.pid);
  process.kill(up.pid, "SIGINT");
  await up.waitForErrorOutput(/finishing what is under way/);
  // A press of the key may arrive twice within 300 ms.
  await delay(400);
  const insistedAt = performance.now();
  process.kill(up.pid, "SIGINT");
  expect(await up.exited).toEqual({ code: 1, signal: null });
  expect(performance.now() - insistedAt).toBeLessThan(SOON_MS / 2);
  await expect.poll(() => tree.filter(isAlive), { timeout: SOON_MS }).toEqual([]);
});

const STUBBORN = `
import { createServer } from "node:http";
process.on("SIGTERM", () => {});
createServer((_, response) => response.end("here")).listen(process.env.PORT, "127.0.0.1", () =>
  console.log("stubborn app is up"),
);
`;

/** The command's processes, as soon as one of this name is among them. */
async function untilInTree(pid: number, name: string): Promise<number[]> {
  for (;;) {
    const tree = processTree(pid);
    if (tree.some((each) => nameOf(each).includes(name))) return tree;
    await delay(2);
  }
}

/** The first words of a process's command line; empty where it has ended. */
function nameOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0").slice(0, 2).join(" ");
  } catch {
    return "";
  }
}
