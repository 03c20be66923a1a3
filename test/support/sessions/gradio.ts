/** Sessions of test/support/apps/gradio_app.py by its clients without a page, and how a container of it is started. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";

import { installNodeLibraries } from "../clients/clients.ts";
import type { EndpointTable } from "../harness.ts";
import { programOutcomes, type SessionOutcome, type Sessions } from "./outcomes.ts";

const STEP_TIMEOUT_S = "60";

/** The app in an environment of Python, in so many containers. */
export function gradioEndpoint(name: string, python: string, containers: number): EndpointTable {
  return {
    function: name,
    web_server: [python, "gradio_app.py"],
    env: { GRADIO_ANALYTICS_ENABLED: "False" },
    max_inputs: 200,
    min_containers: containers,
    max_containers: containers,
  };
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
