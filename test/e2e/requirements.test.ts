/** Python environments with the real pip: `requirements` in a real `postern up`. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import {
  type EndpointTable,
  type Gateway,
  type GatewayOptions,
  startUp,
} from "../support/harness.ts";
import { send } from "../support/http-client.ts";
import { temporaryDirectory } from "../support/temporary.ts";

/** pip may have to fetch something from far away, on a machine that does other things. */
const PATIENCE = { timeout: 240_000 };

const SERVER = `
import sys
import six

async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    body = f"six {six.__version__} in {sys.prefix}".encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})
`;

function endpoint(requirements: readonly string[]): EndpointTable {
  const directory = temporaryDirectory();
  writeFileSync(join(directory, "server.py"), SERVER);
  // Making the environment takes longer than this, which is the app's own time.
  return {
    function: "web",
    asgi: "server:app",
    directory,
    requirements: [...requirements],
    startup_timeout: 60,
  };
}

async function up(requirements: readonly string[], options: GatewayOptions = {}): Promise<Gateway> {
  const postern = await startUp([endpoint(requirements)], options);
  onTestFinished(() => postern.stop());
  return postern;
}

test(
  "an app runs in an environment of its requirements, which the next start finds",
  PATIENCE,
  async () => {
    const requirements = ["uvicorn", "six==1.16.0"];
    const first = await up(requirements);
    const answer = await send(first.address(), "/", { timeoutMs: 200_000 });
    expect(answer.text).toMatch(/^six 1\.16\.0 in /);
    expect(answer.text).toContain(join(first.stateDirectory, "environments"));
    await first.process.waitForErrorOutput(
      /making a Python environment for uvicorn, six==1\.16\.0/,
    );
    await first.stop();

    const { stateDirectory } = first;
    const second = await up(requirements.toReversed(), { stateDirectory });
    expect((await send(second.address(), "/", { timeoutMs: 60_000 })).text).toBe(answer.text);
    expect(second.process.stderr).not.toContain("making a Python environment");
  },
);

test(
  "requirements that nobody can meet fail the start, and why is the operator's alone to read",
  PATIENCE,
  async () => {
    const postern = await up(["uvicorn", "six==999"]);
    const answer = await send(postern.address(), "/", { timeoutMs: 200_000 });
    expect(answer.status).toBe(503);
    expect(answer.text).toContain("the box's log says why");
    expect(answer.text).not.toContain("six");
    await postern.process.waitForErrorOutput(/ERROR: No matching distribution found for six==999/);
  },
);
