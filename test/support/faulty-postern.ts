/** Gateway, link, box and container, each of which can be killed, stopped or starved by itself, and comes back. */
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { KIB } from "../../base/units.ts";
import { KEEPALIVE_INTERVAL_MS, KEEPALIVE_TIMEOUT_MS } from "../../routing/wire/limits.ts";
import { type CuttableProxy, startCuttableProxy } from "./cuttable-proxy.ts";
import { resetOrigin, startBox } from "./box.ts";
import { APPS, type Gateway, type GatewayOptions, startGateway } from "./harness.ts";
import { type Address, send } from "./http-client.ts";
import {
  type ManagedProcess,
  commandLine,
  processTree,
  signalAll,
  takeDescriptors,
  untilGone,
} from "./processes.ts";
import { mountSmallDisk, type SmallDisk } from "./small-disk.ts";
import { Stages } from "./stages.ts";
import { temporaryDirectory } from "./temporary.ts";

/** Calls that the app is given at a time. */
export const MAX_INPUTS = 20;

const RECOVERED_WITHIN_MS = 20_000;
const AGAIN_AFTER_MS = 50;

/** The faults, each with what happens. A test's name, and a row of docs/faults.md. */
export const FAULTS = {
  gateway: "kill -9 of `postern gateway` and its workerd",
  link: "the TCP connection of the link is reset at both ends",
  object: "the `Origin` object is reset",
  socket: "the agent's socket is destroyed; the gateway hears nothing of it",
  agent: "kill -9 of the agent",
  container: "kill -9 of the app's process",
  "black hole": "the link's connection stays open and carries nothing any more",
  "stopped agent": "SIGSTOP of the agent, SIGCONT",
  "stopped workerd": "SIGSTOP of workerd, SIGCONT",
  "stopped command": "SIGSTOP of `postern gateway` without its workerd, SIGCONT",
  "stopped container": "SIGSTOP of the app's process, SIGCONT",
  "absent agent": "the agent is stopped for longer than the keepalive lets it be silent",
  "absent workerd": "workerd is stopped for longer than the keepalive lets it be silent",
  "full disk": "the disk under the agent has no room",
  descriptors: "the agent can open no more files and connections",
} as const;
export type FaultName = keyof typeof FAULTS;

/** The faults after which a process is another one. */
const DEADLY: ReadonlySet<FaultName> = new Set(["gateway", "agent", "container"]);

/** How long a fault lasts, where the calls do not end before. */
const LASTS_MS = 3_000;
/** Until the other end has certainly taken the link for dead. */
const LASTS_BEYOND_KEEPALIVE_MS = KEEPALIVE_TIMEOUT_MS + KEEPALIVE_INTERVAL_MS + 500;

/** Room for the responses of a few cells. */
const SMALL_DISK_KIB = 64 * 1024;

/** Ends a fault that lasts: when `over` resolves, or its time has come. */
export type Lift = (over: Promise<unknown>) => Promise<void>;

const GATEWAY_OPTIONS = {
  isFaulty: true,
  flags: ["--request-timeout", "1", "--rate-limit", "0"],
};

/** Where the app answers; the same for ever, so that clients find it again. */
const FUNCTION = "work";

export interface FaultyPosternOptions {
  /** Worker and objects share no memory. */
  readonly manyIsolates?: boolean;
  /** The agent's state directory is on a disk of its own, which can be full. */
  readonly hasSmallDisk?: boolean;
}

export class FaultyPostern {
  readonly stages: Stages;
  readonly #proxy: CuttableProxy;
  readonly #disk: SmallDisk | undefined;
  readonly #boxDirectory: string;
  readonly #options: GatewayOptions;
  #gateway: Gateway;
  #agent!: ManagedProcess;

  private constructor(
    stages: Stages,
    proxy: CuttableProxy,
    gateway: Gateway,
    options: GatewayOptions,
    hasSmallDisk: boolean,
  ) {
    this.#disk = hasSmallDisk ? mountSmallDisk(SMALL_DISK_KIB) : undefined;
    this.#boxDirectory = join(this.#disk?.path ?? temporaryDirectory(), "box");
    this.stages = stages;
    this.#proxy = proxy;
    this.#gateway = gateway;
    this.#options = options;
  }

  static async start({
    manyIsolates = false,
    hasSmallDisk = false,
  }: FaultyPosternOptions): Promise<FaultyPostern> {
    const stages = await Stages.start();
    const options = { ...GATEWAY_OPTIONS, manyIsolates };
    const gateway = await startGateway(options);
    const proxy = await startCuttableProxy(gateway.port);
    const postern = new FaultyPostern(stages, proxy, gateway, options, hasSmallDisk);
    await postern.#startAgent();
    await postern.recovered();
    return postern;
  }

  get address(): Address {
    return this.#gateway.address(FUNCTION);
  }

  /** Resolves when the agent has said this, before or from now on. */
  async agentSays(pattern: RegExp): Promise<void> {
    await this.#agent.waitForErrorOutput(pattern);
  }

  /** Whether the machine let the test mount a disk for the agent. */
  get hasDisk(): boolean {
    return this.#disk !== undefined;
  }

  /** Dials of the agent so far. */
  get dials(): number {
    return this.#proxy.requestLines.filter((line) => line.includes("/_postern/link/")).length;
  }

  /** The processes that are the same after this fault, in the order in which they started. */
  survivors(fault: FaultName): number[] {
    if (DEADLY.has(fault)) return [];
    return [
      this.#gateway.process.pid,
      this.#gateway.workerdPid,
      this.#agent.pid,
      ...this.#containerPids(),
    ];
  }

  /**
   * The part is dead when this resolves; what a person would start again has been started again. A fault that lasts is
   * there until the caller lifts it.
   */
  async inflict(fault: FaultName): Promise<Lift | undefined> {
    switch (fault) {
      case "gateway":
        await this.#killGateway();
        return undefined;
      case "link":
        this.#proxy.cut();
        return undefined;
      case "object":
        await resetOrigin(this.#gateway);
        return undefined;
      case "socket":
        this.#proxy.cutDialler();
        return undefined;
      case "agent":
        await this.#agent.kill();
        await this.#startAgent();
        return undefined;
      case "container":
        await this.#killContainer();
        return undefined;
      case "black hole":
        this.#proxy.freeze();
        return undefined;
      case "stopped agent":
        return stopped([this.#agent.pid]);
      case "stopped workerd":
        return stopped([this.#gateway.workerdPid]);
      case "stopped command":
        return stopped([this.#gateway.process.pid]);
      case "stopped container":
        return stopped(this.#containerPids());
      case "absent agent":
        return stopped([this.#agent.pid], LASTS_BEYOND_KEEPALIVE_MS);
      case "absent workerd":
        return stopped([this.#gateway.workerdPid], LASTS_BEYOND_KEEPALIVE_MS);
      case "full disk":
        return this.#fillDisk();
      case "descriptors":
        return withoutDescriptors(this.#agent.pid);
    }
  }

  /**
   * Starts the agent anew: to it, an app that was killed every few seconds is a broken one, which it
   * starts less and less often.
   */
  async forgetCrashes(): Promise<void> {
    await this.#agent.kill();
    await this.#startAgent();
    await this.recovered();
  }

  /** Resolves when a new call is answered; rejects when the time is up. */
  async recovered(withinMs = RECOVERED_WITHIN_MS): Promise<void> {
    const until = performance.now() + withinMs;
    for (;;) {
      const timeoutMs = withinMs;
      const answer = await send(this.address, "/events?count=1", { timeoutMs }).catch(
        () => undefined,
      );
      if (answer?.status === 200) return;
      if (performance.now() > until) throw new Error(`not back: ${answer?.text}`);
      await new Promise((resolve) => setTimeout(resolve, AGAIN_AFTER_MS));
    }
  }

  async stop(): Promise<void> {
    await this.#agent.stop();
    await this.#proxy.close();
    await this.#gateway.stop();
    await this.stages.close();
    this.#disk?.unmount();
  }

  async #startAgent(): Promise<void> {
    const place = {
      gateway: this.#gateway,
      stateDirectory: this.#boxDirectory,
      throughPort: this.#proxy.port,
    };
    this.#agent = await startBox(place, [
      {
        function: FUNCTION,
        web_server: ["node", `${APPS}/staged-server.ts`],
        env: { STAGES: this.stages.url },
        max_inputs: MAX_INPUTS,
      },
    ]);
  }

  async #killGateway(): Promise<void> {
    const { process: command, port, stateDirectory } = this.#gateway;
    const pids = processTree(command.pid);
    signalAll(pids, "SIGKILL");
    await Promise.all(pids.map(async (pid) => await untilGone(pid)));
    this.#gateway = await startGateway({ ...this.#options, port, stateDirectory });
  }

  async #killContainer(): Promise<void> {
    const pids = this.#containerPids();
    signalAll(pids, "SIGKILL");
    await Promise.all(pids.map(async (pid) => await untilGone(pid)));
  }

  #containerPids(): number[] {
    const pids = processTree(this.#agent.pid).filter((pid) =>
      commandLine(pid).includes("staged-server"),
    );
    if (pids.length === 0) throw new Error("no container runs");
    return pids;
  }

  #fillDisk(): Lift {
    if (this.#disk === undefined) throw new Error("the agent has no disk of its own");
    const filler = join(this.#disk.path, "filler");
    try {
      // More than there is: the disk takes a part of it.
      writeFileSync(filler, Buffer.alloc(SMALL_DISK_KIB * KIB));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOSPC") throw error;
    }
    return lasting(LASTS_MS, () => rmSync(filler));
  }
}

function lasting(ms: number, end: () => void): Lift {
  return async (over) => {
    let timer: NodeJS.Timeout | undefined;
    const enough = new Promise((resolve) => {
      timer = setTimeout(resolve, ms);
    });
    await Promise.race([over, enough]);
    clearTimeout(timer);
    end();
  };
}

function stopped(pids: readonly number[], ms = LASTS_MS): Lift {
  signalAll(pids, "SIGSTOP");
  return lasting(ms, () => {
    signalAll(pids, "SIGCONT");
  });
}

function withoutDescriptors(pid: number): Lift {
  return lasting(LASTS_MS, takeDescriptors(pid));
}
