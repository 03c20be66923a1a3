/** Gateway, link, box and container, each of which can be killed by itself and comes back. */
import { type CuttableProxy, startCuttableProxy } from "./cuttable-proxy.ts";
import { resetOrigin, startBox } from "./box.ts";
import { APPS, type Gateway, type GatewayOptions, startGateway } from "./harness.ts";
import { type Address, send } from "./http-client.ts";
import { type ManagedProcess, commandLine, processTree, untilGone } from "./processes.ts";
import { Stages } from "./stages.ts";
import { temporaryDirectory } from "./temporary.ts";

/** Calls that the app is given at a time. */
export const MAX_INPUTS = 20;

const RECOVERED_WITHIN_MS = 20_000;
const AGAIN_AFTER_MS = 50;

/** The faults, each with what dies. */
export const FAULTS = {
  gateway: "kill -9 of `postern gateway` and its workerd",
  link: "the TCP connection of the link is reset at both ends",
  object: "the `Origin` object is reset",
  socket: "the agent's socket is destroyed; the gateway hears nothing of it",
  agent: "kill -9 of the agent",
  container: "kill -9 of the app's process",
} as const;
export type FaultName = keyof typeof FAULTS;

const GATEWAY_OPTIONS = {
  isFaulty: true,
  flags: ["--request-timeout", "1", "--rate-limit", "0"],
};

/** Where the app answers; the same for ever, so that clients find it again. */
const FUNCTION = "work";

export class FaultyPostern {
  readonly stages: Stages;
  readonly #proxy: CuttableProxy;
  readonly #boxDirectory = temporaryDirectory();
  readonly #options: GatewayOptions;
  #gateway: Gateway;
  #agent!: ManagedProcess;

  private constructor(
    stages: Stages,
    proxy: CuttableProxy,
    gateway: Gateway,
    options: GatewayOptions,
  ) {
    this.stages = stages;
    this.#proxy = proxy;
    this.#gateway = gateway;
    this.#options = options;
  }

  /** @param manyIsolates Worker and objects share no memory */
  static async start(manyIsolates: boolean): Promise<FaultyPostern> {
    const stages = await Stages.start();
    const options = { ...GATEWAY_OPTIONS, manyIsolates };
    const gateway = await startGateway(options);
    const proxy = await startCuttableProxy(gateway.port);
    const postern = new FaultyPostern(stages, proxy, gateway, options);
    await postern.#startAgent();
    await postern.recovered();
    return postern;
  }

  get address(): Address {
    return this.#gateway.address(FUNCTION);
  }

  /** The part is dead when this resolves; what a person would start again has been started again. */
  async inflict(fault: FaultName): Promise<void> {
    switch (fault) {
      case "gateway":
        return await this.#killGateway();
      case "link":
        this.#proxy.cut();
        return;
      case "object":
        return await resetOrigin(this.#gateway);
      case "socket":
        this.#proxy.cutDialler();
        return;
      case "agent":
        await this.#agent.kill();
        return await this.#startAgent();
      case "container":
        return await this.#killContainer();
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

  /** Resolves when a new call is answered. */
  async recovered(): Promise<void> {
    const until = performance.now() + RECOVERED_WITHIN_MS;
    for (;;) {
      const timeoutMs = RECOVERED_WITHIN_MS;
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
    for (const pid of pids) process.kill(pid, "SIGKILL");
    await Promise.all(pids.map(async (pid) => await untilGone(pid)));
    this.#gateway = await startGateway({ ...this.#options, port, stateDirectory });
  }

  async #killContainer(): Promise<void> {
    const pids = processTree(this.#agent.pid).filter((pid) =>
      commandLine(pid).includes("staged-server"),
    );
    if (pids.length === 0) throw new Error("no container runs");
    for (const pid of pids) process.kill(pid, "SIGKILL");
    await Promise.all(pids.map(async (pid) => await untilGone(pid)));
  }
}
