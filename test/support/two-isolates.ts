/**
 * A gateway seen from two isolates: one workerd with the Worker and its objects, and a second Worker of
 * the same bundle, on a port of its own, that uses the first one's objects. What an isolate remembers, the
 * other does not know: it stands for another of Cloudflare's machines.
 */
import { randomBytes } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { deriveGatewayKeys } from "../../auth/keys.ts";
import { firstApiToken } from "../../auth/tokens.ts";
import { bundleWorker } from "../../cli/gateway/bundle.ts";
import { PACKAGE_ROOT, readWorkerManifest } from "../../cli/gateway/worker-manifest.ts";
import { WORKERD_BINARY } from "./bare-workerd.ts";
import { ManagedProcess } from "./processes.ts";
import { freePort, temporaryDirectory } from "./temporary.ts";

export interface TwoIsolates {
  /** Of the Worker whose objects both use, which is the base domain's own port. */
  readonly port: number;
  /** Of the second Worker. */
  readonly otherPort: number;
  /** An admin's token of the workspace, and where it is good, for commands. */
  readonly env: Record<string, string>;
  stop(): Promise<void>;
}

/** @param more variables of both Workers */
export async function startTwoIsolates(
  workspace: string,
  more: Readonly<Record<string, string>> = {},
): Promise<TwoIsolates> {
  const directory = temporaryDirectory();
  const manifest = readWorkerManifest();
  const [port, otherPort] = await Promise.all([freePort(), freePort()]);
  const variables = {
    POSTERN_BASE_DOMAIN: `localhost:${port}`,
    POSTERN_KEY: randomBytes(32).toString("base64url"),
    ...more,
  };
  const service = (owns: boolean): string => {
    const bindings = [
      ...Object.entries(variables).map(([name, value]) => `(name = "${name}", text = "${value}")`),
      ...manifest.objects.map(({ binding, className }) => {
        const designator = owns
          ? `"${className}"`
          : `(className = "${className}", serviceName = "gateway")`;
        return `(name = "${binding}", durableObjectNamespace = ${designator})`;
      }),
    ];
    const namespaces = manifest.objects.map(
      ({ className }) =>
        `(className = "${className}", uniqueKey = "${className.toLowerCase()}", enableSql = true)`,
    );
    const storage = owns
      ? `durableObjectNamespaces = [${namespaces.join(", ")}], durableObjectStorage = (localDisk = "objects"),`
      : "";
    return `worker = (
      modules = [(name = "worker.js", esModule = embed "worker.js")],
      compatibilityDate = "${manifest.compatibilityDate}",
      compatibilityFlags = [${manifest.compatibilityFlags.map((flag) => `"${flag}"`).join(", ")}],
      bindings = [${bindings.join(", ")}],
      ${storage}
    )`;
  };
  const objects = join(directory, "objects");
  mkdirSync(objects);
  writeFileSync(join(directory, "worker.js"), await bundleWorker(PACKAGE_ROOT, manifest.main));
  const file = join(directory, "config.capnp");
  writeFileSync(
    file,
    `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [
    (name = "gateway", ${service(true)}),
    (name = "other", ${service(false)}),
    (name = "objects", disk = (path = "${objects}", writable = true)),
  ],
  sockets = [
    (name = "http", address = "127.0.0.1:${port}", http = (), service = "gateway"),
    (name = "other", address = "127.0.0.1:${otherPort}", http = (), service = "other"),
  ],
);`,
  );
  const managed = new ManagedProcess([WORKERD_BINARY, "serve", "--control-fd=1", file]);
  await managed.waitForOutput(/"socket":"other"/);
  const token = await firstApiToken(await deriveGatewayKeys(variables.POSTERN_KEY), workspace);
  return {
    port,
    otherPort,
    env: {
      POSTERN_URL: `http://localhost:${port}`,
      POSTERN_TOKEN_ID: token.id,
      POSTERN_TOKEN_SECRET: token.secret,
    },
    stop: async () => {
      await managed.kill();
    },
  };
}
