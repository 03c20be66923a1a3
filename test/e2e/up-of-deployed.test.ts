/** An app was deployed, and somebody serves it in place: the refusal has the remedy, and the remedy works. */
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";

import { type Told, writeDeployable } from "../support/deployable.ts";
import { type Gateway, startCommand, startUp, webServer, WORKSPACE } from "../support/harness.ts";
import { send } from "../support/http-client.ts";
import type { ManagedProcess } from "../support/processes.ts";
import { temporaryDirectory } from "../support/temporary.ts";

const directory = join(temporaryDirectory(), "shop");
const file = join(directory, "postern.toml");

async function run(...args: string[]): Promise<void> {
  const command = startCommand(args);
  expect((await command.exited).code, command.stderr).toBe(0);
}

/** `up --config` of the shop, at the place of another `up`. */
function upOfShop({ port, stateDirectory }: Gateway): ManagedProcess {
  const place = ["--port", String(port), "--state", stateDirectory];
  const up = startCommand(["up", "--config", file, ...place], {
    env: { POSTERN_WORKSPACE: WORKSPACE },
  });
  onTestFinished(() => up.killTree());
  return up;
}

test("up --config of a deployed app is refused with the command that makes way for it", async () => {
  const first = await startUp([webServer()]);
  onTestFinished(() => first.process.killTree());
  const { port, stateDirectory } = first;
  writeDeployable(directory, "shop", "deployed", { web: {} });
  await run("deploy", file, "--state", stateDirectory);
  await first.stop();

  const refused = upOfShop(first);
  expect((await refused.exited).code).toBe(1);
  expect(refused.stderr).toContain(
    "tests--shop-web belongs to the deployed app shop in environment main of workspace tests; " +
      "stop it (postern app stop shop -e main) or choose another label",
  );

  const again = await startUp([webServer()], { port, stateDirectory });
  onTestFinished(() => again.process.killTree());
  await run("app", "stop", "shop", "-e", "main", "--state", stateDirectory);
  await again.stop();
  writeDeployable(directory, "shop", "in place", { web: {} });
  const up = upOfShop(first);
  await up.waitForOutput(/^http:\/\/tests--shop-web\./m);
  const address = { port, host: `tests--shop-web.localhost:${port}` };
  expect(((await send(address, "/")).json() as Told).text).toBe("in place");
  await up.stop();
});
