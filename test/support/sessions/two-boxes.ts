/** A gateway and two boxes, each with an agent and a home of its own. Apps are deployed to both by the command. */
import { cpSync, mkdirSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { type TomlTable, stringify } from "smol-toml";
import { expect, vi } from "vitest";

import { type ApiCall, LIST_CALLS } from "../../../api/calls.ts";
import { LIST_CONTAINERS, type ApiContainer } from "../../../api/containers.ts";
import { ownAccess } from "../../../cli/access.ts";
import { ApiClient } from "../../../cli/client.ts";
import {
  type EndpointTable,
  type Gateway,
  type GatewayOptions,
  WORKSPACE,
  startCommand,
  startGateway,
} from "../harness.ts";
import type { Address } from "../http-client.ts";
import type { ManagedProcess } from "../processes.ts";
import { temporaryDirectory } from "../temporary.ts";

const APP = "shop";
const BOXES = ["gpu-1", "gpu-2"] as const;
/** Characters of each process. */
const NOTICES = 5_000;
/** Importing a large Python package takes a busy machine this long, several times at once. */
export const READY_TIMEOUT_MS = 180_000;

/** Its containers are over both boxes. */
export class TwoBoxes {
  readonly gateway: Gateway;
  readonly agents: ReadonlyMap<string, ManagedProcess>;
  readonly #directory = join(temporaryDirectory(), APP);

  private constructor(gateway: Gateway, agents: ReadonlyMap<string, ManagedProcess>) {
    this.gateway = gateway;
    this.agents = agents;
  }

  /** @param envs variables of the boxes' agents, in their order */
  static async start(
    options: GatewayOptions = {},
    envs: readonly NodeJS.ProcessEnv[] = [],
  ): Promise<TwoBoxes> {
    const gateway = await startGateway(options);
    const agents = new Map<string, ManagedProcess>();
    for (const [index, name] of BOXES.entries()) {
      const agent = startAt(gateway, ["origin", "--name", name], envs[index]);
      agents.set(name, agent);
      await agent.waitForErrorOutput(new RegExp(`${name} is connected`));
    }
    return new TwoBoxes(gateway, agents);
  }

  /** Deploys these files as an app, or as its next version, and waits until its least containers are ready. */
  async deploy(files: readonly string[], endpoints: readonly EndpointTable[]): Promise<void> {
    mkdirSync(this.#directory, { recursive: true });
    for (const file of files) cpSync(file, join(this.#directory, basename(file)));
    const base: TomlTable = { boxes: ["gpu-*"], startup_timeout: READY_TIMEOUT_MS / 1000 };
    const endpoint = endpoints.map((table) => ({ ...base, ...table }));
    const file = join(this.#directory, "postern.toml");
    writeFileSync(file, stringify({ app: APP, endpoint }));
    const deploy = startAt(this.gateway, ["deploy", file]);
    const { code } = await deploy.exited;
    if (code !== 0) throw new Error(`deploy ended with ${code}: ${deploy.stderr}`);
    for (const { function: name, min_containers: least = 0 } of endpoints) {
      const areReady = async () =>
        expect((await this.containers(name, "ready")).length).toBeGreaterThanOrEqual(Number(least));
      await vi.waitFor(areReady, { timeout: READY_TIMEOUT_MS, interval: 200 });
    }
  }

  /** Those of both boxes. */
  async containers(functionName: string, state?: ApiContainer["state"]): Promise<ApiContainer[]> {
    const api = new ApiClient(ownAccess(this.gateway.stateDirectory));
    const listed = await Promise.all(
      BOXES.map(async (box) => await api.list(LIST_CONTAINERS, { path: { box } })),
    );
    return listed
      .flat()
      .filter(({ endpoint }) => endpoint.endsWith(`/${functionName}`))
      .filter((container) => state === undefined || container.state === state);
  }

  /** The calls that run at both boxes, a line each. */
  async calls(): Promise<string> {
    const api = new ApiClient(ownAccess(this.gateway.stateDirectory));
    const listed = await Promise.all(
      BOXES.map(async (box) => await api.list(LIST_CALLS, { path: { box } })),
    );
    const line = ({ box, container, method, path, status, elapsed_ms, timeline }: ApiCall) => {
      const states = timeline.map(({ state, at_ms }) => `${state} ${at_ms}`).join(", ");
      return `${box} ${container} ${method} ${path} ${status} ${elapsed_ms}: ${states}`;
    };
    return listed.flat().map(line).join("\n");
  }

  address(functionName: string): Address {
    const { port } = this.gateway;
    return { port, host: `${WORKSPACE}--${APP}-${functionName}.localhost:${port}` };
  }

  url(functionName: string): string {
    return `http://${this.address(functionName).host}`;
  }

  /** What the gateway and the agents said last: why a test failed. */
  get notices(): string {
    const all = [["gateway", this.gateway.process] as const, ...this.agents];
    return all.map(([name, { stderr }]) => `${name}: ${stderr.slice(-NOTICES)}`).join("\n");
  }

  async stop(): Promise<void> {
    for (const agent of this.agents.values()) agent.killTree();
    await this.gateway.stop();
  }
}

/** A command on a machine of its own that knows the gateway's URL and a token. */
function startAt(
  gateway: Gateway,
  args: readonly string[],
  more: NodeJS.ProcessEnv = {},
): ManagedProcess {
  const { tokenId, tokenSecret } = ownAccess(gateway.stateDirectory);
  const home = temporaryDirectory();
  const env = {
    ...more,
    HOME: home,
    TMPDIR: home,
    POSTERN_CONFIG_PATH: undefined,
    POSTERN_URL: `http://localhost:${gateway.port}`,
    POSTERN_TOKEN_ID: tokenId,
    POSTERN_TOKEN_SECRET: tokenSecret,
  };
  return startCommand(args, { env, cwd: home });
}
