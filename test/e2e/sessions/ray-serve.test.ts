/**
 * Ray Serve as the upstream of two boxes, each with a head of its own: a Gradio app at the ingress, composed of two
 * models. Ray's guide allows such an app one replica; here its sessions stay each at one of two heads.
 */
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";

import { APPS, type EndpointTable } from "../../support/harness.ts";
import { ManagedProcess } from "../../support/processes.ts";
import {
  expectEvenSessions,
  failuresOf,
  programOutcomes,
  type SessionOutcome,
} from "../../support/sessions/outcomes.ts";
import { TwoBoxes } from "../../support/sessions/two-boxes.ts";
import { freePort } from "../../support/temporary.ts";
import { ensureSessionsVenv } from "../../support/venv.ts";

const SESSIONS = 20;
const HEADS = ["127.0.0.2", "127.0.0.3"];
const READY_TIMEOUT_MS = 240_000;
const NAMES = new URL("../../support/sessions/ray-head.ts", import.meta.url).href;

let boxes: TwoBoxes;
let python: string;
const heads: ManagedProcess[] = [];
beforeAll(async () => {
  python = await ensureSessionsVenv("ray");
  const port = await freePort();
  for (const host of HEADS) {
    const head = new ManagedProcess([python, join(APPS, "ray_app.py"), host, String(port)]);
    heads.push(head);
    await head.waitForOutput(/^ready$/m, READY_TIMEOUT_MS);
  }
  const envs = HEADS.map((host) => ({ NODE_OPTIONS: `--import=${NAMES}`, RAY_HEAD: host }));
  boxes = await TwoBoxes.start({}, envs);
  const endpoint = (name: string): EndpointTable => ({
    function: name,
    upstream: `http://ray-head:${port}`,
    max_inputs: 200,
  });
  await boxes.deploy([], [{ ...endpoint("kept"), affinity: "gradio" }, endpoint("bare")]);
});
afterAll(async () => {
  await boxes.stop();
  await Promise.all(heads.map(async (head) => await head.stop()));
});

async function sessions(name: string, count: number): Promise<SessionOutcome[]> {
  return await programOutcomes(python, "ray_sessions.py", boxes.url(name), String(count));
}

test(`${SESSIONS} sessions at once stay each at one of two heads, and each head has its part`, async () => {
  expectEvenSessions(await sessions("kept", SESSIONS), HEADS.length);
});

test("without affinity sessions are lost, which proves this test", async () => {
  expect(failuresOf(await sessions("bare", 8))).not.toEqual([]);
});
