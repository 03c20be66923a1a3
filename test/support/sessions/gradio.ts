/** Sessions of test/support/apps/gradio_app.py by its clients without a page, and how a container of it is started. */
import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, vi } from "vitest";

import { installNodeLibraries } from "../clients/clients.ts";
import { APPS, type EndpointTable } from "../harness.ts";
import { send } from "../http-client.ts";
import { ManagedProcess } from "../processes.ts";
import { freePort } from "../temporary.ts";
import { programOutcomes, type SessionOutcome, type Sessions } from "./outcomes.ts";
import { READY_TIMEOUT_MS } from "./two-boxes.ts";

const STEP_TIMEOUT_S = "60";

const ENV = { GRADIO_ANALYTICS_ENABLED: "False" };

/** The app in an environment of Python, in so many containers. */
export function gradioEndpoint(name: string, python: string, containers: number): EndpointTable {
  return {
    function: name,
    web_server: [python, "gradio_app.py"],
    env: ENV,
    max_inputs: 200,
    min_containers: containers,
    max_containers: containers,
  };
}

/** The app in an environment of Python, without Postern. It is ready. */
export async function startGradio(python: string): Promise<{ port: number; app: ManagedProcess }> {
  const port = await freePort();
  const env = { ...process.env, ...ENV, PORT: String(port) };
  const app = new ManagedProcess([python, join(APPS, "gradio_app.py")], { env });
  const host = `127.0.0.1:${port}`;
  const isReady = async () => expect((await send({ port, host }, "/config")).status).toBe(200);
  await vi.waitFor(isReady, { timeout: READY_TIMEOUT_MS, interval: 200 });
  return { port, app };
}

/**
 * With gradio_client of this environment.
 * @param headers each session sends a value of its own in them
 */
export function pythonSessions(python: string, ...headers: readonly string[]): Sessions {
  return async (url, count) =>
    await programOutcomes(python, "gradio_sessions.py", url, String(count), ...headers);
}

/** With @gradio/client. */
export const nodeSessions: Sessions = async (url, count) => {
  const libraries = await installNodeLibraries();
  const { execPath } = process;
  return await programOutcomes(execPath, "gradio-sessions.mjs", url, String(count), libraries);
};

/** With curl's two steps: a POST that starts a job, and a GET of its events by the id that it got. */
export const curlSessions: Sessions = async (url, count) =>
  await Promise.all(Array.from({ length: count }, async () => await twoSteps(url)));

async function twoSteps(url: string): Promise<SessionOutcome> {
  const call = `${url}/gradio_api/call/count`;
  const json = ["-H", "content-type: application/json"];
  try {
    const started = JSON.parse(await curl(...json, "-d", '{"data":[]}', call)) as Started;
    const events = await curl("-N", `${call}/${started.event_id}`);
    const [, place] = /^event: complete\ndata: \[null, "(\S+) 1"\]$/m.exec(events) ?? [];
    return place === undefined ? { failure: events } : { places: [place] };
  } catch (error) {
    return { failure: String(error) };
  }
}

interface Started {
  readonly event_id: string;
}

/** curl knows names under localhost by itself. */
async function curl(...args: readonly string[]): Promise<string> {
  const command = ["-sS", "--max-time", STEP_TIMEOUT_S, ...args];
  const { stdout } = await promisify(execFile)("curl", command);
  return stdout;
}
