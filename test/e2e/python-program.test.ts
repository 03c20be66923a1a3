/** A Python program of its own: it serves, deploys and scales the app that its file makes. */
import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ownAccess } from "../../cli/access.ts";
import { APPS, type Gateway, ROOT, startCommand, startGateway } from "../support/harness.ts";
import { activeVenv } from "../support/python-app.ts";
import { ensureVenv } from "../support/venv.ts";

let gateway: Gateway;
beforeAll(async () => {
  gateway = await startGateway();
});
afterAll(async () => await gateway.stop());

/** As a person has them who has set the gateway's URL and a token. */
async function variables(): Promise<NodeJS.ProcessEnv> {
  const { tokenId, tokenSecret } = ownAccess(gateway.stateDirectory);
  return {
    ...process.env,
    ...(await activeVenv()),
    PYTHONPATH: join(ROOT, "origin-gpu/python"),
    POSTERN_URL: `http://localhost:${gateway.port}`,
    POSTERN_TOKEN_ID: tokenId,
    POSTERN_TOKEN_SECRET: tokenSecret,
    POSTERN_ENVIRONMENT: "main",
  };
}

test("a program calls its app while it runs it, and when it has deployed it", async () => {
  const box = startCommand(["origin", "--name", "gpu-1", "--state", gateway.stateDirectory], {
    env: await activeVenv(),
  });
  await box.waitForErrorOutput(/gpu-1 is connected/);
  await finished("environment", "create", "dev");
  const program = [join(APPS, "python_program.py")];
  const { stdout } = await promisify(execFile)(await ensureVenv(), program, {
    env: await variables(),
  });
  const notHere = expect.stringContaining("InvalidError: square: the app does not run here");
  expect(JSON.parse(stdout.trimEnd().split("\n").at(-1) ?? "")).toEqual({
    before: notHere,
    served: [true, 16, [0, 1, 4], "hello you"],
    after: notHere,
    deployed: [25, "bye you", "hello all"],
    web: ["a page", "InvalidError: front is served to the web: call its URL, get_web_url()"],
    apart: [
      36,
      expect.stringMatching(
        /^PermissionDeniedError: .*an app calls apps of its own environment alone/,
      ),
    ],
  });
  const history = await finished("app", "history", "program");
  expect(history).toContain("by-program");
  const scaled = async (name: string) =>
    JSON.parse(
      await finished("app", "scale", "program", name, "--buffer", "0", "--json"),
    ) as object;
  expect(await scaled("square")).toMatchObject({
    settings: { min_containers: 1, max_containers: 3 },
  });
  expect(await scaled("Greeter")).toMatchObject({ settings: { scaledown_window: 90 } });
  await box.stop();
});

async function finished(...args: string[]): Promise<string> {
  const managed = startCommand([...args, "--state", gateway.stateDirectory], {
    env: { POSTERN_ENVIRONMENT: "main" },
  });
  expect(await managed.exited).toMatchObject({ code: 0 });
  return managed.stdout;
}
