/** A Socket.IO server on four containers of two boxes, by its client for Node: each connection stays on one container. */
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { installNodeLibraries } from "../support/clients/clients.ts";
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
/** The first run makes the Python environment. */
const SETUP_TIMEOUT_MS = 600_000;

let boxes: TwoBoxes;
let libraries: string;
beforeAll(async () => {
  let python: string;
  [python, libraries] = await Promise.all([ensureSessionsVenv(), installNodeLibraries()]);
  boxes = await TwoBoxes.start();
  const endpoint = (name: string, containers: number): EndpointTable => ({
    function: name,
    asgi: "socket_io_app:app",
    python,
    max_inputs: 200,
    min_containers: containers,
    max_containers: containers,
  });
  const kept = { ...endpoint("kept", CONTAINERS), affinity: "socket.io" };
  await boxes.deploy([join(APPS, "socket_io_app.py")], [kept, endpoint("bare", 2)]);
}, SETUP_TIMEOUT_MS);
afterAll(async () => await boxes.stop());

async function sessions(name: string, count: number, way: string): Promise<SessionOutcome[]> {
  const args = [boxes.url(name), String(count), libraries, way];
  return await programOutcomes(process.execPath, "socket-io-sessions.mjs", ...args);
}

describe.each(["polling,websocket", "polling", "websocket"])("with the transports %s", (way) => {
  test(`${SESSIONS} connections at once stay each on one container, and each container has its part`, async () => {
    expectEvenSessions(await sessions("kept", SESSIONS, way), CONTAINERS);
  });
});

test("without affinity connections are lost, which proves these tests", async () => {
  expect(failuresOf(await sessions("bare", 8, "polling,websocket"))).not.toEqual([]);
});
