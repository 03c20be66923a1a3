/** The targets: the app itself, the pass-through, the peer, and Postern without its front and with it. */
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

/** A gateway and an agent of their own. */
async function startPostern(
  name: string,
  flags: readonly string[],
  appPort: number,
  appPids: ServerPids,
  env: NodeJS.ProcessEnv,
): Promise<{ target: Target; stop(): Promise<void> }> {
  const gateway = await startGateway({ flags: ["--rate-limit", "0", ...flags], env });
  const agent = await startServe(gateway, [upstream(appPort)], gateway.workerdPort, env);
  const address = gateway.address("web", "-dev");
  await send(address, "/");
  const pids = (): ServerPids => {
    const workerd = processTree(gateway.workerdPid);
    return {
      workerd,
      gateway: processTree(gateway.process.pid).filter((pid) => !workerd.includes(pid)),
      agent: processTree(agent.pid),
      ...appPids,
    };
  };
  return {
    target: { name, role: "other", address, pids },
    stop: async () => {
      await agent.stop();
      await gateway.stop();
    },
  };
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
  const postern = await startPostern("Postern", [], appPort, appPids, env);
  const front = await startPostern(
    "Postern behind its front",
    ["--front", "always"],
    appPort,
    appPids,
    env,
  );
  const all = [own, bareTarget, relayTarget, postern.target, front.target];
  return {
    app: own,
    all,
    apart: all.slice(1),
    stop: async () => {
      await postern.stop();
      await front.stop();
      for (const managed of [beforeRelay.process, relay, bare.process, app]) await managed.kill();
    },
  };
}
