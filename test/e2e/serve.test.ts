/** `postern serve` while its author works: edits, mistakes, a newer serve of the same app, an end. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { type Told, writeDeployable } from "../support/deployable.ts";
import { type Gateway, startCommand, startGateway } from "../support/harness.ts";
import { type Address, send } from "../support/http-client.ts";
import type { ManagedProcess } from "../support/processes.ts";
import { startSteadyLoad } from "../support/steady-load.ts";
import { temporaryDirectory } from "../support/temporary.ts";

/** The edge's memory of a name, and some patience for a busy machine. */
const STOLEN_WITHIN_MS = 10_000;

let gateway: Gateway;
beforeAll(async () => {
  gateway = await startGateway();
});
afterAll(async () => await gateway.stop());

interface Served {
  readonly directory: string;
  readonly process: ManagedProcess;
  readonly address: Address;
  edit(text: string): void;
}

async function serve(app: string, text: string, ...flags: string[]): Promise<Served> {
  const directory = join(temporaryDirectory(), "app");
  const edit = (edition: string) => writeDeployable(directory, app, edition, { web: {} });
  edit(text);
  const managed = startCommand(["serve", "--state", gateway.stateDirectory, ...flags], {
    cwd: directory,
    env: { POSTERN_DEBUG: "versions" },
  });
  const [url] = await managed.waitForOutput(/^http:\S+$/m);
  const address = { port: gateway.port, host: new URL(url).host };
  await send(address, "/", { timeoutMs: 60_000 });
  return { directory, process: managed, address, edit };
}

async function textAt(address: Address): Promise<string> {
  return ((await send(address, "/")).json() as Told).text;
}

describe("an edit", () => {
  let served: Served;
  beforeAll(async () => {
    served = await serve("workbench", "first");
  });
  afterAll(async () => await served.process.stop());

  test("is served by a new version, and no request fails meanwhile", async () => {
    expect(await textAt(served.address)).toBe("first");
    const load = startSteadyLoad(served.address, "/", 100, 10_000);
    served.edit("second");
    await expect.poll(() => textAt(served.address), { timeout: 30_000 }).toBe("second");
    await load.stop();
    expect(load.outcomes.length).toBeGreaterThan(5);
    expect(load.outcomes.filter(({ result }) => result !== 200)).toEqual([]);
    await served.process.waitForErrorOutput(/ file\.changed path=.*text\.mjs$/m);
  });

  test("that does not start leaves the last good version serving, and the next one mends it", async () => {
    served.edit("broken");
    await served.process.waitForErrorOutput(/ postern: .*the version before it goes on$/m);
    await served.process.waitForErrorOutput(/no such weights: \/models\/none/);
    expect(await textAt(served.address)).toBe("second");
    served.edit("third");
    await expect.poll(() => textAt(served.address), { timeout: 30_000 }).toBe("third");
  });

  test("of the configuration that is wrong is explained, and the last good version goes on", async () => {
    const file = join(served.directory, "postern.toml");
    writeFileSync(file, 'app = "workbench"\n[[endpoint]]\nfunction = "web"\nport = "no"\n');
    await served.process.waitForErrorOutput(
      /postern\.toml:4: [\s\S]*the version before it goes on/,
    );
    expect(await textAt(served.address)).toBe("third");
  });

  test("of the configuration may add an endpoint, whose URL is printed", async () => {
    writeDeployable(served.directory, "workbench", "fourth", { web: {}, other: {} });
    const [url] = await served.process.waitForOutput(/^http:\S+-other-dev\S+$/m);
    const other = { port: gateway.port, host: new URL(url).host };
    expect(await textAt(other)).toBe("fourth");
  });
});

test("a newer serve of the same app takes its URL, and the older one does not take it back", async () => {
  const older = await serve("contested", "older");
  const newer = await serve("contested", "newer");
  const askedAt = performance.now();
  await expect
    .poll(() => textAt(older.address), { timeout: STOLEN_WITHIN_MS, interval: 50 })
    .toBe("newer");
  console.log(
    `the edge knew of the newer serve after ${Math.round(performance.now() - askedAt)} ms`,
  );
  older.edit("older, edited");
  await older.process.waitForErrorOutput(/ postern: the new version serves$/m);
  expect(await textAt(newer.address)).toBe("newer");
  await newer.process.stop();
  await older.process.stop();
});

test("--timeout ends it, and its URL is nobody's", async () => {
  const { process: managed, address } = await serve("brief", "brief", "--timeout", "6");
  expect((await managed.exited).code).toBe(0);
  await expect.poll(async () => (await send(address, "/")).status, { timeout: 10_000 }).toBe(404);
});

test("a Python file is an app", async () => {
  const directory = temporaryDirectory();
  const answer = "await send({'type': 'http.response.body', 'body': b'from a file'})";
  const app = `async def app(scope, receive, send):
    if scope['type'] == 'http':
        await send({'type': 'http.response.start', 'status': 200, 'headers': []})
        ${answer}
`;
  writeFileSync(join(directory, "greeter.py"), app);
  const managed = startCommand(["serve", "greeter.py", "--state", gateway.stateDirectory], {
    cwd: directory,
    env: { PATH: `${join(process.cwd(), ".test/venv/bin")}:${process.env["PATH"] ?? ""}` },
  });
  const [url] = await managed.waitForOutput(/^http:\S+greeter-app-dev\S+$/m);
  const address = { port: gateway.port, host: new URL(url).host };
  expect((await send(address, "/", { timeoutMs: 60_000 })).text).toBe("from a file");
  await managed.stop();
});
