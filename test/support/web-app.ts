/** The plain server of test/support/apps run by the test itself, as an `upstream` or behind a bare workerd. */
import { join } from "node:path";

import { APPS } from "./harness.ts";
import { ManagedProcess } from "./processes.ts";
import { freePort } from "./temporary.ts";

export interface WebApp {
  readonly port: number;
  readonly process: ManagedProcess;
  stop(): Promise<void>;
}

/** Starts the server and waits until it listens. */
export async function startWebApp(): Promise<WebApp> {
  const port = await freePort();
  const managed = new ManagedProcess([process.execPath, join(APPS, "web-server.ts")], {
    env: { ...process.env, PORT: String(port) },
  });
  await managed.waitForOutput(/listening on/);
  return {
    port,
    process: managed,
    stop: async () => {
      await managed.kill();
    },
  };
}
