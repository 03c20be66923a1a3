/** An MCP server with sessions on four containers of two boxes, by the official SDK for Python. */
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";

import { APPS, type EndpointTable } from "../support/harness.ts";
import {
  expectEvenSessions,
  failuresOf,
  programOutcomes,
  type SessionOutcome,
} from "../support/sessions/outcomes.ts";
import { TwoBoxes } from "../support/sessions/two-boxes.ts";
import { ensureSessionsVenv } from "../support/venv.ts";

const SESSIONS = 20;
const CONTAINERS = 4;
const REQUEST_TIMEOUT_S = 3;
const WORK_S = 6;
/** The first run makes the Python environment. */
const SETUP_TIMEOUT_MS = 600_000;

let boxes: TwoBoxes;
let python: string;
beforeAll(async () => {
  python = await ensureSessionsVenv();
  boxes = await TwoBoxes.start({ flags: ["--request-timeout", String(REQUEST_TIMEOUT_S)] });
  const endpoint = (name: string, containers: number): EndpointTable => ({
    function: name,
    web_server: [python, "mcp_app.py"],
    max_inputs: 200,
    min_containers: containers,
    max_containers: containers,
  });
  const kept = { ...endpoint("kept", CONTAINERS), affinity: "mcp" };
  const json = { ...endpoint("json", 2), env: { JSON_RESPONSE: "1" }, affinity: "mcp" };
  // One container needs no affinity. Its requests are known by their headers.
  const plain = endpoint("plain", 1);
  await boxes.deploy([join(APPS, "mcp_app.py")], [kept, json, endpoint("bare", 2), plain]);
}, SETUP_TIMEOUT_MS);
afterAll(async () => await boxes.stop());

async function sessions(name: string, count: number): Promise<SessionOutcome[]> {
  const url = `${boxes.url(name)}/mcp`;
  return await programOutcomes(python, "mcp_sessions.py", url, String(count), String(WORK_S));
}

test(`${SESSIONS} sessions at once stay each on one container, with a tool that works longer than the request timeout`, async () => {
  expectEvenSessions(await sessions("kept", SESSIONS), CONTAINERS);
});

test("a server that answers with JSON alone is waited for too", async () => {
  expectEvenSessions(await sessions("json", 8), 2);
});

test("a tool that works longer than the request timeout is waited for without the affinity too", async () => {
  expect(failuresOf(await sessions("plain", 4))).toEqual([]);
});

test("without affinity sessions are lost, which proves these tests", async () => {
  expect(failuresOf(await sessions("bare", 8))).not.toEqual([]);
});
