/** A box whose GPUs are directories with a size, and models whose containers are real processes. */
import { fileURLToPath } from "node:url";
import { expect, onTestFinished, vi } from "vitest";
import { GIB } from "../../../base/units.ts";
import type { EndpointConfig } from "../../../origin-gpu/config/config.ts";
import { Box } from "../../../origin-gpu/core/box.ts";
import type { Card } from "../../../origin-gpu/core/cards.ts";
import type { Rollout } from "../../../origin-gpu/core/claims.ts";
import type { ContainerState } from "../../../origin-gpu/core/container-states.ts";
import type { UsePython } from "../../../origin-gpu/containers/container.ts";
import { SessionTable } from "../../../origin-gpu/core/session-table.ts";
import { BoxClaims } from "../../../origin-gpu/endpoints/box-claims.ts";
import { Endpoint } from "../../../origin-gpu/endpoints/endpoint.ts";
import type { GatewayAddress } from "../../../origin-gpu/link/gateway-address.ts";
import { temporaryDirectory } from "../../support/temporary.ts";
import { endpointConfig, listening, plainPython } from "../containers/endpoint.ts";
import { open, PATIENCE, StandInCall, type StandInTraits } from "./stand-in-call.ts";

const SERVER = fileURLToPath(new URL("../../support/apps/gpu-server.ts", import.meta.url));
const LIMITS = { residencyMs: 0, patienceMs: 300, mostPatienceMs: 2_000 };
export const CARDS: readonly Card[] = ["0", "1"].map((id) => ({
  id,
  name: "H100",
  memoryBytes: 80 * GIB,
}));
export const ONE_GPU = { gpus: [{ count: 1 }] };

/** A model that sleeps instead of ending. */
export const SLEEPING = {
  ...ONE_GPU,
  sleep: [{ method: "POST", path: "/sleep", headers: {} }],
  wake: [{ method: "POST", path: "/wake", headers: {} }],
} as const;

interface Told {
  readonly name: string;
  readonly pid: number;
  readonly cards: readonly string[];
  readonly loads: number;
}

interface ModelTraits extends Partial<EndpointConfig> {
  readonly rollout?: Rollout;
  readonly isProved?: boolean;
  /** It is a new version that is being prepared. */
  readonly isPrepared?: boolean;
  readonly memoryGib?: number;
  readonly loadMs?: number;
  readonly usePython?: UsePython;
  readonly ignoresSigterm?: boolean;
}

/** A box of these cards. */
export class GpuBox {
  readonly claims: BoxClaims;
  /** How often the machine's memory will be found short. */
  shortages = 0;
  readonly lines: string[] = [];
  /** The states that containers have come to, each after its model's name. */
  readonly moves: string[] = [];
  readonly #directory = temporaryDirectory();

  constructor(cards: readonly Card[]) {
    this.claims = new BoxClaims(new Box(cards, LIMITS), () => this.shortages-- > 0);
  }

  model(name: string, traits: ModelTraits = {}): Model {
    const { isProved = true, isPrepared = false, memoryGib = 80, loadMs = 0 } = traits;
    const { usePython = plainPython, ignoresSigterm = false, ...more } = traits;
    const env = {
      CARDS: this.#directory,
      NAME: name,
      MEMORY: String(memoryGib),
      LOAD_MS: String(loadMs),
      ...(ignoresSigterm && { STAYS: "yes" }),
    };
    const kind = { type: "web_server", command: ["node", SERVER] } as const;
    const [functionName = name] = name.split("-");
    const settings = endpointConfig({ kind, env, function: functionName, maxInputs: 4, ...more });
    const states: ContainerState[] = [];
    const endpoint = new Endpoint({
      settings,
      gateway: {} as GatewayAddress,
      bodies: undefined,
      claims: this.claims,
      identity: {
        app: "main/models",
        functionName,
        version: 1,
        rollout: isPrepared ? settings.rollout : undefined,
      },
      isProved,
      sessions: new SessionTable(),
      environment: {},
      usePython,
      ...listening(
        (line) => this.lines.push(line),
        (state) => {
          states.push(state);
          this.moves.push(`${name} ${state}`);
        },
      ),
    });
    onTestFinished(() => endpoint.close());
    return new Model(endpoint, settings, states);
  }

  /** Waits for a line of the log. */
  async told(line: string | RegExp): Promise<void> {
    await vi.waitFor(() => {
      expect(this.lines).toContainEqual(expect.stringMatching(line));
    }, PATIENCE);
  }

  get hasRunOutOfMemory(): boolean {
    return this.lines.some((line) => line.includes("CUDA out of memory"));
  }
}

export class Model {
  readonly endpoint: Endpoint;
  /** That its containers have come to, in this order. */
  readonly states: readonly ContainerState[];
  readonly #settings: EndpointConfig;

  constructor(endpoint: Endpoint, settings: EndpointConfig, states: readonly ContainerState[]) {
    this.endpoint = endpoint;
    this.states = states;
    this.#settings = settings;
  }

  open(target: string, traits: StandInTraits = {}): StandInCall {
    return this.send(new StandInCall(target, traits));
  }

  send(call: StandInCall): StandInCall {
    return open(this.endpoint, this.#settings, call);
  }

  async ask(target = "/"): Promise<Told> {
    const call = this.open(target);
    expect([await call.outcome, call.detail]).toEqual([200, ""]);
    return JSON.parse(call.text) as Told;
  }
}
