/**
 * A workerd whose Worker does nothing but `fetch(request)` to one app: what Postern is measured
 * against, and what tells a fault of the platform from one of ours.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { ManagedProcess } from "./processes.ts";
import { freePort, temporaryDirectory } from "./temporary.ts";

export interface BareWorkerd {
  readonly port: number;
  readonly process: ManagedProcess;
  stop(): Promise<void>;
}

/** The workerd that the package of the same name brings for this machine. */
export const WORKERD_BINARY = fileURLToPath(import.meta.resolve("workerd/bin/workerd"));

const PASS_THROUGH = "export default { fetch: (request) => fetch(request) };";

/** Starts the pass-through, or another Worker, in front of an app on this loopback port. */
export async function startBareWorkerd(
  appPort: number,
  script = PASS_THROUGH,
): Promise<BareWorkerd> {
  const directory = temporaryDirectory();
  const port = await freePort();
  const config = `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [
    (name = "main", worker = (
      modules = [(name = "worker", esModule = ${JSON.stringify(script)})],
      compatibilityDate = "2026-11-01",
      globalOutbound = "app",
    )),
    (name = "app", external = (address = "127.0.0.1:${appPort}", http = ())),
  ],
  sockets = [(name = "main", address = "127.0.0.1:${port}", http = (), service = "main")],
);`;
  const file = join(directory, "config.capnp");
  writeFileSync(file, config);
  const managed = new ManagedProcess([WORKERD_BINARY, "serve", "--control-fd=1", file]);
  await managed.waitForOutput(/"event":"listen"/);
  return {
    port,
    process: managed,
    stop: async () => {
      await managed.kill();
    },
  };
}
