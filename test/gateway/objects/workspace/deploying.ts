/** A workspace with boxes that tests deploy to: the API, and agents that do what the test says. */
import { env as bindings, runDurableObjectAlarm, SELF } from "cloudflare:test";
import { expect, vi } from "vitest";

import { firstApiToken } from "../../../../auth/tokens.ts";
import type { Env } from "../../../../gateway/contracts/env.ts";
import { gatewayKeys } from "../../../../gateway/contracts/keys.ts";
import type {
  Assignments,
  VersionContent,
  VersionReport,
} from "../../../../routing/wire/deployments.ts";
import {
  POOL_LEASE,
  type PoolKey,
  type PoolLease,
  type PoolUse,
} from "../../../../routing/wire/pool-leases.ts";
import { namesShard, workspaceStub } from "../../../../gateway/contracts/stubs.ts";
import { type Snapshot, type StoppedName } from "../../../../gateway/contracts/names.ts";
import {
  ask,
  authorizationOf,
  connectAgent,
  enrolledBox,
  type FakeAgent,
} from "../../fake-agent.ts";

const env = bindings as unknown as Env;

const BASE = "http://localhost:8787";

export interface Answer {
  status: number;
  /** The tests say what they expect of it. */
  json: ReturnType<typeof JSON.parse>;
}

export interface DeployBox {
  readonly name: string;
  /** How often it was told to ask for its assignments. */
  readonly notifications: number;
  /** How often it was told to ask for its shares. */
  readonly shareNotifications: number;
  /** The box's link; undefined while it is away. */
  agent: FakeAgent | undefined;
  /** It serves nothing any more, and says so to every call. */
  refuses: boolean;
  connect(): Promise<void>;
  assignments(): Promise<Assignments>;
  /** Posts something to one of the agents' operations; the answer's status. */
  send(operation: string, body: string, sender?: Sender): Promise<number>;
  /**
   * Asks for its shares of these pools as an agent does: it says which share it goes by, unless the test says that, and
   * confirms one. Undefined where it is refused.
   */
  lease(
    pools: (Pick<PoolUse, "app"> & Partial<PoolUse>)[],
    sender?: Sender,
  ): Promise<PoolLease | undefined>;
  /** Says that it has these versions, and no others. */
  report(versions: Partial<VersionReport>[], code?: string[], sender?: Sender): Promise<number>;
}

/** Which request of which agent it is; without one it is an older agent's, which does not say. */
interface Sender {
  readonly incarnation: string;
  readonly number?: number;
}

function senderHeaders({ incarnation, number }: Partial<Sender> = {}): Record<string, string> {
  return {
    ...(incarnation !== undefined && { "postern-incarnation": incarnation }),
    ...(number !== undefined && { "postern-request-number": String(number) }),
  };
}

export class Deploying {
  readonly workspace: string;
  readonly #answered: string[] = [];

  constructor(workspace: string) {
    this.workspace = workspace;
  }

  /** Which box answered calls, in order. */
  get answered(): readonly string[] {
    return this.#answered;
  }

  /** Moves the wall clock and lets the workspace's alarm ring. */
  async pass(ms: number): Promise<void> {
    vi.setSystemTime(Date.now() + ms);
    await runDurableObjectAlarm(workspaceStub(env, this.workspace));
  }

  /** What a client gets at a name of the workspace. */
  async get(label: string): Promise<{ status: number; code?: string }> {
    const response = await ask(`${this.workspace}--${label}`);
    const text = await response.text();
    const isProblem = response.headers.get("content-type") === "application/problem+json";
    return { status: response.status, ...(isProblem ? { code: JSON.parse(text).code } : {}) };
  }

  /** What every edge is told of a name that it does not remember. */
  async known(label: string): Promise<Snapshot | StoppedName | undefined> {
    const name = `${this.workspace}--${label}`;
    return await (await namesShard(env, name)).lookup(name);
  }

  async call(method: string, path: string, body?: unknown): Promise<Answer> {
    const token = await firstApiToken(await gatewayKeys(env), this.workspace);
    const response = await SELF.fetch(`${BASE}/api/v1${path}`, {
      method,
      headers: {
        host: "localhost:8787",
        authorization: `Bearer ${token.id}.${token.secret}`,
        "content-type": "application/json",
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    return { status: response.status, json: text === "" ? {} : JSON.parse(text) };
  }

  /** A box that is enrolled, and connected unless the test says otherwise. */
  async box(name: string, { connected = true } = {}): Promise<DeployBox> {
    const { workspace } = this;
    const answered = this.#answered;
    const identity = await enrolledBox(name, workspace);
    const atOperation = async (
      path: string,
      init: RequestInit = {},
      more: Record<string, string> = {},
    ) =>
      await SELF.fetch(`${BASE}/_postern/${path}`, {
        ...init,
        headers: {
          host: "localhost:8787",
          authorization: await authorizationOf(identity),
          ...more,
        },
      });
    let notifications = 0;
    let shareNotifications = 0;
    /** The shares that it goes by. */
    const grants = new Map<string, number>();
    const box: DeployBox = {
      name,
      get notifications() {
        return notifications;
      },
      get shareNotifications() {
        return shareNotifications;
      },
      agent: undefined,
      refuses: false,
      async connect() {
        this.agent = await connectAgent(name, {
          workspace,
          open: (stream) => {
            if (this.refuses) {
              stream.refuse({ code: "no_origin", detail: "the box does not serve this endpoint" });
              return {};
            }
            answered.push(name);
            stream.sendHead('{"status":200,"headers":[]}', [new TextEncoder().encode(name)], true);
            return {};
          },
          operate: (stream, { operation }) => {
            if (operation === "refreshShares") shareNotifications += 1;
            else notifications += 1;
            stream.sendHead('{"status":204,"headers":[]}', [], true);
            return {};
          },
        });
      },
      async assignments() {
        const response = await atOperation("assignments");
        expect(response.status).toBe(200);
        return await response.json<Assignments>();
      },
      async report(versions, code = [], sender) {
        const filled = versions.map((version) => ({ detail: "", lines: [], ...version }));
        return await this.send("report", JSON.stringify({ versions: filled, code }), sender);
      },
      async lease(pools, sender) {
        const rest = { version: 1, pool: "f", min: 0, max: 3, buffer: 0 };
        const filled = pools.map((pool) => {
          const use = { ...rest, needs: 0, has: 0, proved: false, ...pool };
          return { grant: grants.get(nameOf(use)) ?? 0, ...use };
        });
        const body = JSON.stringify({ pools: filled });
        const post = { method: "POST", body };
        const response = await atOperation("pools", post, senderHeaders(sender));
        if (response.status === 200) {
          const lease = POOL_LEASE.parse(await response.json());
          for (const share of lease.pools) grants.set(nameOf(share), share.grant ?? 0);
          const isConfirmed = pools.some(({ grant }) => grant !== undefined);
          const mustConfirm = lease.pools.some(({ confirm }) => confirm) && !isConfirmed;
          return mustConfirm ? await box.lease(pools, sender) : lease;
        }
        expect([response.status, await response.text()]).toEqual([409, expect.any(String)]);
        return undefined;
      },
      async send(operation, body, sender) {
        const post = { method: "POST", body };
        const response = await atOperation(operation, post, senderHeaders(sender));
        await response.text();
        return response.status;
      },
    };
    if (connected) await box.connect();
    return box;
  }

  /** Stages a version and expects that to go well. */
  async stage(app: string, content: VersionContent, more: object = {}): Promise<Answer["json"]> {
    const staged = await this.call("POST", `/apps/${app}/versions?environment=main`, {
      content,
      ...more,
    });
    expect(staged).toMatchObject({ status: 201, json: { status: "staged" } });
    return staged.json;
  }

  async start(app: string, version: number): Promise<Answer> {
    return await this.call("POST", `/apps/${app}/versions/${version}/start?environment=main`);
  }

  async version(app: string, version: number): Promise<Answer["json"]> {
    return (await this.call("GET", `/apps/${app}/versions/${version}?environment=main`)).json;
  }

  async app(app: string): Promise<Answer["json"]> {
    return (await this.call("GET", `/apps/${app}?environment=main`)).json;
  }

  /** Deploys to one box, which takes it at once. */
  async serve(app: string, box: DeployBox, content: VersionContent): Promise<number> {
    const { version } = await this.stage(app, content, { deploying_box: box.name });
    expect((await this.start(app, version)).status).toBe(200);
    const { apps } = await box.assignments();
    const { id } = apps.find((one) => one.app === app) as Assignments["apps"][number];
    expect(await box.report([{ app: id, version, state: "ready" }])).toBe(204);
    expect(await box.report([{ app: id, version, state: "serving" }])).toBe(204);
    return version;
  }
}

/** A version of an app with these functions; each may say more of itself. */
export function content(
  functions: Record<string, Partial<VersionContent["endpoints"][number]>> = { f: {} },
): VersionContent {
  return {
    config: { app: "demo", endpoint: Object.keys(functions).map((name) => ({ function: name })) },
    code: null,
    endpoints: Object.entries(functions).map(([name, more]) => Object.assign(endpoint(name), more)),
  };
}

function nameOf({ app, version, pool, parameters = "" }: PoolKey): string {
  return `${app}/${version}/${pool}/${parameters}`;
}

function endpoint(name: string): VersionContent["endpoints"][number] {
  const settings = { timeout: 300, resultTtl: 3600 };
  return { function: name, pool: name, settings, secrets: [] };
}

/** Lets every edge forget what it remembers of names. */
export function forgetNames(): void {
  vi.setSystemTime(Date.now() + 5_001);
}
