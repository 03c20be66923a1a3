/**
 * Runs a gateway on this machine: workerd with the Worker of gateway/, and the TCP front before it, on one state
 * directory. `postern gateway` runs this alone; `postern up` adds an agent.
 */

import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { verifyBoxCredential } from "../../auth/box-credential.ts";
import { deriveGatewayKeys } from "../../auth/keys.ts";
import type { Observer } from "../../base/observer.ts";
import { systemTimer } from "../../base/runtime/timer.ts";
import { within } from "../../base/runtime/within.ts";
import { publicScheme } from "../../routing/names.ts";
import { isTrusted, parseTrustedProxies } from "../../routing/trusted-proxies.ts";
import { codeOf, CommandFailure, reasonOf } from "../failure.ts";
import { startFront, type Front } from "../front/front.ts";
import { startMetrics } from "../metrics.ts";
import { counters, stampLines, writeJsonLines } from "../observer.ts";
import { bundleWorker } from "./bundle.ts";
import { DiskReserve } from "./disk-reserve.ts";
import { writeOwnProfile } from "./own-profile.ts";
import type { GatewaySettings } from "./settings.ts";
import {
  openStateDirectory,
  writePrivate,
  type RunningInfo,
  type StateDirectory,
} from "./state-directory.ts";
import { PACKAGE_ROOT, readWorkerManifest } from "./worker-manifest.ts";
import { workerdConfig } from "./workerd-config.ts";
import { endOrphan, startWorkerd, type Workerd } from "./workerd-process.ts";

/** How long responses may go on after the gateway was asked to end. */
const DRAIN_MS = 10_000;

/** How long workerd may take to end. Clients have left by then, and only links of boxes hold it. */
const WORKERD_GRACE_MS = 500;

const MAX_CONNECTIONS = 10_000;

/** Descriptors for everything but clients: storage, links, pipes, the containers' connections. */
const RESERVED_DESCRIPTORS = 128;

/** Descriptors of one client: its socket, the one to workerd, and in `up` the one to the app. */
const DESCRIPTORS_PER_CLIENT = 3;

export interface RunningGateway extends RunningInfo {
  readonly statePath: string;
  /** Stops accepting, and lets responses finish for a bounded time. */
  drain(): Promise<void>;
  /** Drains where that has not been done, then ends. */
  stop(): Promise<void>;
  /** Ends at once. Does nothing after the end. */
  kill(): void;
}

/**
 * Starts the gateway.
 * @param worker the entry of the Worker, relative to the package's root
 * @throws {CommandFailure} that says in one line why it can't
 */
export async function startGateway(
  settings: GatewaySettings,
  observer: Observer,
  worker = readWorkerManifest().main,
): Promise<RunningGateway> {
  if (settings.log === "json") writeJsonLines();
  await startMetrics();
  const state = openStateDirectory(settings.state);
  const reserve = reserveOf(state, observer);
  let front: Front | undefined;
  try {
    const orphan = state.readWorkerd();
    if (orphan !== undefined) await endOrphan(orphan);
    const workerd = Promise.withResolvers<Workerd>();
    // The front's clients wait for this promise; the start below reports its failure.
    workerd.promise.catch(() => undefined);
    const frontSecret = randomBytes(32).toString("base64url");
    const baseDomain = (port: number): string => settings.baseDomain ?? `localhost:${port}`;
    // Listening comes first: it shows a taken port before anything starts, and its port names the base domain.
    front = await listen(settings, {
      secret: frontSecret,
      baseDomain,
      upstreamPort: async () => (await workerd.promise).port(),
      isProxy: proxyOf(settings),
      isBoxCredential: async (credential) =>
        await isBoxCredential(state.key, credential, baseDomain(front?.port ?? 0)),
      log: observer.notice,
    });
    const domain = baseDomain(front.port);
    const running = await startWorker(
      { settings, worker, state, reserve, observer },
      domain,
      frontSecret,
    );
    workerd.resolve(running);
    const info: RunningInfo = {
      url: `${publicScheme(domain)}://${domain}`,
      baseDomain: domain,
      workerdPort: await running.port(),
      pid: process.pid,
    };
    await writeOwnProfile(state, info.url, settings.workspace);
    state.writeRunning(info);
    stampLines();
    return {
      ...info,
      statePath: state.path,
      ...endings(front, running, state, reserve),
    };
  } catch (error) {
    front?.reset();
    void front?.close();
    state.release();
    throw error;
  }
}

/** This machine's own address stands for each client of a proxy here; a trusted proxy's for its clients. */
function proxyOf({ variables }: GatewaySettings): (address: string) => boolean {
  const trusted = variables["POSTERN_TRUSTED_PROXIES"] ?? "";
  const proxies = parseTrustedProxies(`127.0.0.0/8,::1,${trusted}`);
  return (address) => proxies.ok && isTrusted(proxies.value, address);
}

async function isBoxCredential(key: string, credential: string, domain: string): Promise<boolean> {
  const keys = await deriveGatewayKeys(key);
  const verdict = await verifyBoxCredential(keys, credential, domain, Date.now() / 1_000);
  return verdict.kind === "valid";
}

function endings(
  front: Front,
  workerd: Workerd,
  state: StateDirectory,
  reserve: DiskReserve,
): Pick<RunningGateway, "drain" | "stop" | "kill"> {
  let drained: Promise<void> | undefined;
  const drain = (): Promise<void> => {
    drained ??= drainClients(front, workerd);
    return drained;
  };
  return {
    drain,
    async stop() {
      await drain();
      await workerd.stop(WORKERD_GRACE_MS);
      reserve.end();
      state.release();
    },
    kill() {
      void front.close();
      front.reset();
      workerd.kill();
      reserve.end();
      state.release();
    },
  };
}

async function drainClients(front: Front, workerd: Workerd): Promise<void> {
  const closed = front.close();
  // From here on workerd closes each connection when its response ends, and idle ones at once.
  workerd.drain();
  await within(DRAIN_MS, closed);
  front.reset();
  await closed;
}

interface WorkerOptions {
  readonly settings: GatewaySettings;
  /** The entry of the Worker. */
  readonly worker: string;
  readonly state: StateDirectory;
  readonly reserve: DiskReserve;
  readonly observer: Observer;
}

function reserveOf({ reservePath }: StateDirectory, { notice }: Observer): DiskReserve {
  const now = (): number => performance.now();
  const reserve = new DiskReserve({ path: reservePath, notice, timer: systemTimer, now });
  reserve.keep();
  return reserve;
}

/** Writes workerd's configuration and the Worker's bundle, and starts workerd. */
async function startWorker(
  { settings, worker, state, reserve, observer }: WorkerOptions,
  baseDomain: string,
  frontSecret: string,
): Promise<Workerd> {
  const manifest = readWorkerManifest();
  const variables: Record<string, string> = {
    // workerd runs a Worker and its objects in one isolate.
    POSTERN_ONE_ISOLATE: "1",
    ...settings.variables,
    POSTERN_BASE_DOMAIN: baseDomain,
    // Counting reads the Worker's events from its lines.
    POSTERN_LOG: counters === undefined ? settings.log : "json",
    POSTERN_DEBUG: process.env["POSTERN_DEBUG"] ?? "",
    POSTERN_KEY: state.key,
    POSTERN_FRONT_SECRET: frontSecret,
  };
  const configPath = join(state.runPath, "workerd.capnp");
  const bundle = await bundleWorker(PACKAGE_ROOT, worker);
  try {
    writePrivate(join(state.runPath, "worker.js"), bundle);
    writePrivate(configPath, workerdConfig(manifest, "worker.js", Object.keys(variables)));
  } catch (error) {
    throw new CommandFailure(`can't write the state directory ${state.path}: ${reasonOf(error)}`);
  }
  return startWorkerd({
    onFullDisk: () => reserve.onFull(),
    configPath,
    objectsPath: state.objectsPath,
    environment: variables,
    observer,
    onProcess(identity) {
      try {
        if (identity === undefined) state.forgetWorkerd();
        else state.writeWorkerd(identity);
      } catch (error) {
        // A full disk must not end a gateway that serves. Without the note an orphan is harder to find.
        observer.notice(`can't note workerd's process in ${state.path}: ${reasonOf(error)}`);
      }
    },
  });
}

async function listen(
  settings: GatewaySettings,
  options: Omit<Parameters<typeof startFront>[0], "host" | "port" | "maxConnections">,
): Promise<Front> {
  const { host, port } = settings;
  try {
    return await startFront({ ...options, host, port, maxConnections: maxConnections() });
  } catch (error) {
    switch (codeOf(error)) {
      case "EADDRINUSE":
        throw new CommandFailure(`port ${port} is already taken; choose another with --port`);
      case "EACCES":
        throw new CommandFailure(
          `port ${port} needs privileges; choose one above 1023 with --port`,
        );
      case "EADDRNOTAVAIL":
        throw new CommandFailure(
          `${host} is not an address of this machine; choose another with --host`,
        );
      default:
        throw new CommandFailure(`can't listen on ${host}:${port}: ${reasonOf(error)}`);
    }
  }
}

/** The number of clients that the descriptor limit allows. Node raises the limit to the hard one at its start. */
function maxConnections(): number {
  const limit = Number(execFileSync("/bin/sh", ["-c", "ulimit -n"], { encoding: "utf8" }));
  if (!Number.isFinite(limit)) return MAX_CONNECTIONS;
  const affordable = Math.floor((limit - RESERVED_DESCRIPTORS) / DESCRIPTORS_PER_CLIENT);
  return Math.min(MAX_CONNECTIONS, Math.max(16, affordable));
}
