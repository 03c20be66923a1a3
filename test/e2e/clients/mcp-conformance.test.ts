/** MCP's own conformance suite, against a server of the official SDK: by itself, and behind Postern. */
import { execFile } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";

import { installPatientLibraries } from "../../support/clients/clients.ts";
import { APPS, type Gateway, startUp } from "../../support/harness.ts";
import { ManagedProcess } from "../../support/processes.ts";
import { freePort, temporaryDirectory } from "../../support/temporary.ts";

const SERVER = join(APPS, "mcp-conformance-server.mjs");
const LOCALHOST = fileURLToPath(new URL("../../support/clients/localhost.mjs", import.meta.url));
const SUITE_TIMEOUT_MS = 200_000;

/** Both checks of this scenario take no URL but one of localhost itself. */
const LOCALHOST_ALONE = "dns-rebinding-protection";

let libraries: string;
let postern: Gateway;
let server: ManagedProcess;
let serverUrl: string;
beforeAll(async () => {
  libraries = await installPatientLibraries();
  const port = await freePort();
  serverUrl = `http://localhost:${port}/mcp`;
  server = new ManagedProcess([process.execPath, SERVER], {
    cwd: temporaryDirectory(),
    env: { ...process.env, PORT: String(port), LIBRARIES: libraries },
  });
  postern = await startUp(
    [
      {
        function: "tools",
        web_server: [process.execPath, SERVER],
        env: { LIBRARIES: libraries },
        app_kind: "mcp",
      },
    ],
    { flags: ["--request-timeout", "2"] },
  );
});
afterAll(async () => {
  await postern.stop();
  await server.stop();
});

/** What came of each scenario: `1 passed, 0 failed`. */
async function scenarios(url: string): Promise<Record<string, string>> {
  const program = join(libraries, "node_modules/@modelcontextprotocol/conformance/dist/index.js");
  const asked = ["--import", LOCALHOST, program, "server", "--suite", "all", "--url", url];
  const { stdout } = await promisify(execFile)(process.execPath, asked, {
    cwd: temporaryDirectory(),
    timeout: SUITE_TIMEOUT_MS,
    maxBuffer: 16 * 1024 * 1024,
    // It ends with 1 where a scenario failed.
  }).catch((error: unknown) => error as { stdout: string });
  const found = stdout.matchAll(/^\W+ ([\w-]+): (\d+ passed, \d+ failed)/gm);
  return Object.fromEntries([...found].map(([, name, outcome]) => [name, outcome]));
}

test("a server passes the same checks behind Postern as by itself", async () => {
  await expect.poll(async () => (await fetch(serverUrl).catch(() => undefined))?.status).toBe(406);
  const direct = await scenarios(serverUrl);
  expect(Object.values(direct).filter((outcome) => !outcome.endsWith(", 0 failed"))).toEqual([]);
  expect(Object.keys(direct).length).toBeGreaterThan(30);
  const behind = await scenarios(`http://${postern.address("tools").host}/mcp`);
  const { [LOCALHOST_ALONE]: _, ...expected } = direct;
  expect(behind).toMatchObject(expected);
  expect(Object.keys(behind)).toEqual(Object.keys(direct));
});
