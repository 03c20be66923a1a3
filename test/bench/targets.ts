/** What is measured: the app itself, the pass-through, the peer, and Postern by both of its doors. */
import { fileURLToPath } from "node:url";

import { startBareWorkerd } from "../support/bare-workerd.ts";
import { startGateway, startServe, upstream } from "../support/harness.ts";
import { type Address, send } from "../support/http-client.ts";
import { ManagedProcess, processTree } from "../support/processes.ts";
import { freePort } from "../support/temporary.ts";
import type { ServerPids } from "./load/usage.ts";

export interface Target {
  readonly name: string;
  /** What others are compared with has its role. */
  readonly role: "app" | "bare" | "other";
  readonly address: Address;
  /** All server processes that a request to this target passes, as of now. */
  pids(): ServerPids;
}

export interface Targets {
  readonly app: Target;
  readonly all: readonly Target[];
  /** Those that share no process with another of them, but for the app. */
  readonly apart: readonly Target[];
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
  const posternAddress = gateway.address("web", "-dev");
  await send(posternAddress, "/");

  const appPids = { app: [app.pid] };
  const direct = (port: number) => ({ port, host: "app.localhost" });
  const own: Target = {
    name: "the app itself",
    role: "app",
    address: direct(appPort),
    pids: () => appPids,
  };
  const bareTarget: Target = {
    name: "bare workerd",
    role: "bare",
    address: direct(bare.port),
    pids: () => ({ workerd: [bare.process.pid], ...appPids }),
  };
  const relayTarget: Target = {
    name: "bare workerd and a Node relay",
    role: "other",
    address: direct(beforeRelay.port),
    pids: () => ({ workerd: [beforeRelay.process.pid], relay: [relay.pid], ...appPids }),
  };
  const posternPids = (): ServerPids => {
    const workerd = processTree(gateway.workerdPid);
    return {
      workerd,
      gateway: processTree(gateway.process.pid).filter((pid) => !workerd.includes(pid)),
      agent: processTree(agent.pid),
      ...appPids,
    };
  };
  const behindFront: Target = {
    name: "Postern on workerd's port",
    role: "other",
    address: { ...posternAddress, port: gateway.workerdPort },
    pids: posternPids,
  };
  const front: Target = {
    name: "Postern through its front",
    role: "other",
    address: posternAddress,
    pids: posternPids,
  };
  return {
    app: own,
    all: [own, bareTarget, relayTarget, behindFront, front],
    apart: [bareTarget, relayTarget, front],
    stop: async () => {
      await agent.stop();
      await gateway.stop();
      for (const managed of [beforeRelay.process, relay, bare.process, app]) await managed.kill();
    },
  };
}
