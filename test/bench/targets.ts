/** What is measured: the app itself, the pass-through, the peer, and Postern by both of its doors. */
import { fileURLToPath } from "node:url";

import { startBareWorkerd } from "../support/bare-workerd.ts";
import { startGateway, startServe, upstream } from "../support/harness.ts";
import { send } from "../support/http-client.ts";
import { ManagedProcess } from "../support/processes.ts";
import { freePort } from "../support/temporary.ts";

export interface Target {
  readonly name: string;
  readonly port: number;
  readonly host: string;
  /** Roots of all server processes that a request to this target passes, the app's included. */
  readonly pids: readonly number[];
}

export interface Targets {
  readonly app: Target;
  readonly bare: Target;
  readonly all: readonly Target[];
  stop(): Promise<void>;
}

async function startNode(file: string, env: NodeJS.ProcessEnv): Promise<ManagedProcess> {
  const path = fileURLToPath(new URL(file, import.meta.url));
  const started = new ManagedProcess([process.execPath, path], { env: { ...process.env, ...env } });
  await started.waitForOutput(/listening/);
  return started;
}

/**
 * Starts everything. With `profileDirectory`, Postern's own Node processes write a CPU profile there
 * when they end, which slows them: its figures are then no measurement.
 */
export async function startTargets(profileDirectory?: string): Promise<Targets> {
  const appPort = await freePort();
  const app = await startNode("app.ts", { PORT: String(appPort) });
  const bare = await startBareWorkerd(appPort);
  const relayPort = await freePort();
  const relay = await startNode("relay.ts", {
    PORT: String(relayPort),
    APP_PORT: String(appPort),
  });
  const beforeRelay = await startBareWorkerd(relayPort);
  const env =
    profileDirectory === undefined
      ? {}
      : { NODE_OPTIONS: `--cpu-prof --cpu-prof-dir=${profileDirectory}` };
  const gateway = await startGateway({ flags: ["--rate-limit", "0"], env });
  const agent = await startServe(gateway, [upstream(appPort)], gateway.workerdPort, env);
  const { host } = gateway.address("web", "-dev");
  await send(gateway.address("web", "-dev"), "/");

  const posternPids = [gateway.process.pid, agent.pid, app.pid];
  const targets = {
    app: { name: "the app itself", port: appPort, host: "app.localhost", pids: [app.pid] },
    bare: {
      name: "bare workerd",
      port: bare.port,
      host: "app.localhost",
      pids: [bare.process.pid, app.pid],
    },
    relay: {
      name: "bare workerd and a Node relay",
      port: beforeRelay.port,
      host: "app.localhost",
      pids: [beforeRelay.process.pid, relay.pid, app.pid],
    },
    behindFront: {
      name: "Postern on workerd's port",
      port: gateway.workerdPort,
      host,
      pids: posternPids,
    },
    front: { name: "Postern through its front", port: gateway.port, host, pids: posternPids },
  };
  return {
    app: targets.app,
    bare: targets.bare,
    all: Object.values(targets),
    stop: async () => {
      await agent.stop();
      await gateway.stop();
      for (const managed of [beforeRelay.process, relay, bare.process, app]) await managed.kill();
    },
  };
}
