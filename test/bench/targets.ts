/** The targets: the app itself, the pass-through, the peer, and Postern without its front and with it. */
import { resolve } from "node:path";
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

interface PosternOptions {
  readonly name: string;
  readonly flags?: readonly string[];
  /** Another checkout of this repository. */
  readonly checkout?: string;
}

/** A gateway and an agent of their own. */
async function startPostern(
  { name, flags = [], checkout }: PosternOptions,
  appPort: number,
  appPids: ServerPids,
  env: NodeJS.ProcessEnv,
): Promise<{ target: Target; stop(): Promise<void> }> {
  const gateway = await startGateway({
    flags: ["--rate-limit", "0", ...flags],
    env,
    ...(checkout !== undefined && { checkout }),
  });
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

export interface TargetOptions {
  readonly profileDirectory?: string | undefined;
  /** Another checkout of this repository, measured instead of this one's front. */
  readonly against?: string | undefined;
}

/**
 * Starts everything. With `profileDirectory`, Postern's own Node processes write a CPU profile there
 * when they end, which slows them: its figures are then no measurement.
 */
export async function startTargets({
  profileDirectory,
  against,
}: TargetOptions = {}): Promise<Targets> {
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
  const posterns: { target: Target; stop(): Promise<void> }[] = [];
  for (const options of [
    { name: "Postern" },
    against === undefined
      ? { name: "Postern behind its front", flags: ["--front", "always"] }
      : { name: `Postern of ${against}`, checkout: resolve(against) },
  ]) {
    posterns.push(await startPostern(options, appPort, appPids, env));
  }
  const all = [own, bareTarget, relayTarget, ...posterns.map(({ target }) => target)];
  return {
    app: own,
    all,
    apart: all.slice(1),
    stop: async () => {
      for (const postern of posterns) await postern.stop();
      for (const managed of [beforeRelay.process, relay, bare.process, app]) await managed.kill();
    },
  };
}
