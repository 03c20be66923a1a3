/**
 * Runs a gateway on this machine: workerd with the Worker of gateway/, and the place where clients connect to it, on
 * one state directory. `postern gateway` runs this alone; `postern up` adds an agent.
 */

import { join } from "node:path";
import type { Observer } from "../../base/observer.ts";
import { systemTimer } from "../../base/runtime/timer.ts";
import { within } from "../../base/runtime/within.ts";
import { publicScheme } from "../../routing/names.ts";
import { CommandFailure, reasonOf } from "../failure.ts";
import { startMetrics } from "../metrics.ts";
import { writePrivate } from "../private-file.ts";
import { counters, stampLines, writeJsonLines } from "../observer.ts";
import { bundleWorker } from "./bundle.ts";
import { checkDatabases, recordDatabases } from "./databases/check-databases.ts";
import { DiskReserve } from "./disk-reserve.ts";
import { type Entrance, openEntrance } from "./entrance.ts";
import { writeOwnProfile } from "./own-profile.ts";
import { directUrlOf, plainHttpNotices } from "./plain-http.ts";
import type { GatewaySettings } from "./settings.ts";
import { openStateDirectory, type RunningInfo, type StateDirectory } from "./state-directory.ts";
import { startTls, type Tls } from "./tls/tls.ts";
import { PACKAGE_ROOT, readWorkerManifest } from "./worker-manifest.ts";
import { workerdConfig } from "./workerd-config.ts";
import { endOrphans, startWorkerd, type Workerd } from "./workerd-process.ts";

/** How long responses may go on after the gateway was asked to end. */
const DRAIN_MS = 10_000;

/** How long workerd may take to end. Clients have left by then, and only links of boxes hold it. */
const WORKERD_GRACE_MS = 500;

export interface RunningGateway extends RunningInfo {
  readonly statePath: string;
  /** As `directUrlOf` has it. */
  readonly directUrl: string | undefined;
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
  const state = openStateDirectory(settings.state, observer.notice);
  const reserve = reserveOf(state, observer);
  let entrance: Entrance | undefined;
  let tls: Tls | undefined;
  try {
    await endOrphans(state.readWorkerd(), configPathOf(state));
    checkDatabases(state, observer.notice);
    const workerd = Promise.withResolvers<Workerd>();
    // The entrance waits for this promise; the start below reports its failure.
    workerd.promise.catch(() => undefined);
    const baseDomain = (port: number): string => settings.baseDomain ?? `localhost:${port}`;
    // Listening comes first: it shows a taken port before anything starts, and its port names the base domain.
    entrance = await openEntrance({
      settings,
      key: state.key,
      baseDomain,
      workerdPort: async () => (await workerd.promise).port(),
      workerdPid: async () => (await workerd.promise).pid,
      log: observer.notice,
    });
    const domain = baseDomain(entrance.port);
    // Clients that Caddy lets in wait in the kernel for workerd's start.
    if (settings.tls !== undefined) {
      tls = await startTls({
        settings: settings.tls,
        baseDomain: domain,
        gatewayPort: entrance.port,
        workerdPort: async () => await (await workerd.promise).port(),
        statePath: state.path,
        runPath: state.runPath,
        graceMs: DRAIN_MS,
        observer,
      });
    }
    const running = await startWorker(
      { settings, worker, state, reserve, observer },
      { socketFd: entrance.socketFd, variables: { ...entrance.variables, ...tls?.variables } },
      domain,
    );
    workerd.resolve(running);
    entrance.opened();
    const info: RunningInfo = {
      url: `${publicScheme(domain)}://${domain}`,
      baseDomain: domain,
      workerdPort: await running.port(),
      pid: process.pid,
    };
    await writeOwnProfile(state, info.url, settings.workspace);
    state.writeRunning(info);
    stampLines();
    for (const text of plainHttpNotices(settings, domain, entrance.port)) observer.notice(text);
    return {
      ...info,
      statePath: state.path,
      directUrl: directUrlOf(settings, domain, entrance.port),
      ...endings({ tls, entrance, workerd: running, state, reserve, observer }),
    };
  } catch (error) {
    tls?.kill();
    entrance?.reset();
    void entrance?.close();
    reserve.end();
    state.release();
    throw error;
  }
}

interface Running {
  /** Undefined without `--tls`. */
  readonly tls: Tls | undefined;
  readonly entrance: Entrance;
  readonly workerd: Workerd;
  readonly state: StateDirectory;
  readonly reserve: DiskReserve;
  readonly observer: Observer;
}

function endings(running: Running): Pick<RunningGateway, "drain" | "stop" | "kill"> {
  const { tls, entrance, workerd, state, reserve, observer } = running;
  let drained: Promise<void> | undefined;
  const drain = (): Promise<void> => {
    drained ??= drainClients(running);
    return drained;
  };
  return {
    drain,
    async stop() {
      await drain();
      await workerd.stop(WORKERD_GRACE_MS);
      recordDatabases(state, observer.notice);
      reserve.end();
      state.release();
    },
    kill() {
      tls?.kill();
      void entrance.close();
      entrance.reset();
      workerd.kill();
      reserve.end();
      state.release();
    },
  };
}

async function drainClients({ tls, entrance, workerd }: Running): Promise<void> {
  const begunMs = performance.now();
  // Its clients first: what it has taken must still reach workerd.
  if (tls !== undefined) await within(DRAIN_MS, tls.drain());
  tls?.kill();
  const closed = entrance.close();
  // From here on workerd closes each connection when its response ends, and idle ones at once.
  workerd.drain();
  await within(Math.max(0, DRAIN_MS - (performance.now() - begunMs)), closed);
  entrance.reset();
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

/** The file that workerd is started with, and an orphan is known by. */
function configPathOf({ runPath }: StateDirectory): string {
  return join(runPath, "workerd.capnp");
}

function reserveOf({ reservePath }: StateDirectory, { notice }: Observer): DiskReserve {
  const now = (): number => performance.now();
  const reserve = new DiskReserve({ path: reservePath, notice, timer: systemTimer, now });
  reserve.prepareStart();
  return reserve;
}

/** Writes workerd's configuration and the Worker's bundle, and starts workerd. */
async function startWorker(
  { settings, worker, state, reserve, observer }: WorkerOptions,
  { socketFd, variables: entranceVariables }: Pick<Entrance, "socketFd" | "variables">,
  baseDomain: string,
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
    ...entranceVariables,
  };
  const configPath = configPathOf(state);
  const bundle = await bundleWorker(PACKAGE_ROOT, worker);
  try {
    writePrivate(join(state.runPath, "worker.js"), bundle);
    writePrivate(
      configPath,
      workerdConfig(manifest, "worker.js", Object.keys(variables), socketFd !== undefined),
    );
  } catch (error) {
    throw new CommandFailure(`can't write the state directory ${state.path}: ${reasonOf(error)}`);
  }
  return startWorkerd({
    onFullDisk: () => reserve.onFull(),
    configPath,
    objectsPath: state.objectsPath,
    environment: variables,
    socketFd,
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
