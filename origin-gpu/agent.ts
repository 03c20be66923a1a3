/**
 * The agent: the public door of this room. It serves apps on this box through a gateway: the one that it
 * brings along (`postern up`, `serve`) and those that are deployed to it. It dials the links, starts the
 * containers, and runs the calls.
 */
import { join } from "node:path";
import { SECOND_MS } from "../base/units.ts";
import type { Observer } from "../base/observer.ts";
import { within } from "../base/runtime/within.ts";
import type { BoxEnrolment } from "../auth/box-credential.ts";
import type { Welcome } from "../routing/wire/messages.ts";
import {
  type Acceptor,
  NO_EVENTS,
  type Stream,
  type StreamEvents,
} from "../routing/wire/multiplexer.ts";
import { parseOpenHead } from "../routing/wire/heads.ts";
import { parseAttach } from "../routing/wire/messages.ts";
import { COALESCE_MS, GIB } from "../routing/wire/limits.ts";
import { AgentRefused, AnnouncedApp, type EndpointUrl } from "./apps/announced-app.ts";
import { Apps } from "./apps/apps.ts";
import { type DeploymentFiles, Deployments, openDeploymentFiles } from "./apps/deployments.ts";
import { secretsFrom } from "./apps/secrets.ts";
import { BodySpools } from "./calls/body-spool.ts";
import { HeadBudget } from "./calls/head-budget.ts";
import { CallRegistry } from "./calls/call-registry.ts";
import { DurableCalls } from "./calls/store/durable-calls.ts";
import { RingBudget } from "./calls/response/replay-ring.ts";
import type { AppConfig } from "./config/app-config.ts";
import { StartFailure } from "./containers/container.ts";
import { PythonEnvironments } from "./environments/python-environments.ts";
import { GatewayAddress } from "./link/gateway-address.ts";
import { GatewayClient } from "./link/gateway-client.ts";
import { Link } from "./link/link.ts";
import { serveOperation, type OperationHandlers } from "./link/operation-server.ts";
import { operationHandlers } from "./operations.ts";

export { AgentRefused, type EndpointUrl } from "./apps/announced-app.ts";
export { StartFailure };

/** Request bodies of all waiting calls together, in memory and on the disk. */
const WAITING_BODIES_BYTES = 10 * GIB;

export interface AgentOptions {
  /** The gateway's base URL. */
  gatewayUrl: string;
  /** `host:port` to connect to instead, where agent and gateway share a machine: past the front. */
  connectTo?: string;
  enrolment: BoxEnrolment;
  /** Where the box is, as its containers are told. */
  region?: string;
  /** The app that this agent brings along. */
  announced?: AppConfig;
  /** It is an ephemeral one: its labels end in this suffix. */
  devSuffix?: string;
  /** Apps may be deployed to this box. Needs a state directory. */
  acceptsAssignments?: boolean;
  /** Where kept calls are, for this agent alone. Without it no call is kept, and no client redirected. */
  stateDirectory?: string;
  /** Where Python environments are, also for other agents of the machine; without it none is made. */
  environmentsDirectory?: string;
  /** Links to keep to the gateway. */
  links?: number;
  /** Hears what happens: a container's output, notices, changes of state. */
  observer: Observer;
}

export interface RunningAgent {
  /** Of the announced app, in its configuration's order. */
  readonly urls: readonly EndpointUrl[];
  /**
   * Puts another configuration in the announced app's place, which goes on where that fails. Resolves when
   * all containers of the new one are ready and calls go there. One at a time; the signal gives it up.
   * @throws {AgentRefused} when the gateway refuses a name
   * @throws {StartFailure} when a container does not become ready; tells its last lines
   */
  change(config: AppConfig, signal?: AbortSignal): Promise<void>;
  /** Takes no new calls, lets those that run finish within their grace period, then closes. */
  drain(): Promise<void>;
  /** Ends calls and containers now. */
  close(): Promise<void>;
  /** Resolves with the reason when the gateway refuses this agent for good. */
  refused: Promise<string>;
}

/**
 * Starts the agent; resolves when the gateway has welcomed it and accepted every announced endpoint.
 * Their containers start then.
 * @throws {AgentRefused} when the gateway refuses the box or a name, or there is not a secret
 */
export async function startAgent(options: AgentOptions): Promise<RunningAgent> {
  const directory = options.stateDirectory;
  if (directory === undefined) return await new Agent(options, {}).start();
  const durable = await DurableCalls.open({ directory, observer: options.observer });
  const bodies = await BodySpools.open({
    directory: join(directory, "bodies"),
    limitBytes: WAITING_BODIES_BYTES,
  });
  if (options.acceptsAssignments !== true)
    return await new Agent(options, { durable, bodies }).start();
  const deployed = await openDeploymentFiles(directory);
  return await new Agent(options, { durable, bodies, deployed }).start();
}

/** What is on the disk, for this agent alone. */
interface AgentFiles {
  readonly durable?: DurableCalls;
  readonly bodies?: BodySpools;
  readonly deployed?: DeploymentFiles;
}

class Agent {
  readonly #options: AgentOptions;
  readonly #apps: Apps;
  readonly #calls: CallRegistry;
  readonly #durable: DurableCalls | undefined;
  readonly #links: readonly [Link, ...Link[]];
  /** Links whose first welcome is still to come. */
  readonly #unwelcomed: Set<number>;
  readonly #gateway: GatewayAddress;
  readonly #environments: PythonEnvironments;
  readonly #announced: AnnouncedApp | undefined;
  readonly #deployments: Deployments | undefined;
  readonly #operations: OperationHandlers;
  readonly #refused = Promise.withResolvers<string>();
  #draining = false;

  constructor(options: AgentOptions, { durable, bodies, deployed }: AgentFiles) {
    const { gatewayUrl: url, connectTo, enrolment, announced, observer } = options;
    const log = observer.notice;
    this.#options = options;
    this.#durable = durable;
    this.#gateway = new GatewayAddress({
      url,
      enrolment,
      ...(connectTo === undefined ? {} : { connectTo }),
    });
    this.#calls = new CallRegistry({
      context: {
        now: () => performance.now(),
        soon: setImmediate,
        later: coalescer(),
        rings: new RingBudget(),
        observer,
        heads: new HeadBudget(),
      },
      durable,
    });
    this.#environments = new PythonEnvironments({
      directory: options.environmentsDirectory,
      inherited: process.env,
    });
    this.#apps = new Apps({
      gateway: this.#gateway,
      bodies,
      usePython: this.#environments.use,
      log,
      onServing: () => this.#calls.resume((endpoint) => this.#apps.find(endpoint)?.runner(0)),
    });
    const { links = 1 } = options;
    const [first, ...others] = Array.from({ length: links }, (_, number) => this.#link(number));
    if (first === undefined) throw new Error("an agent has a link at least");
    this.#links = [first, ...others];
    this.#unwelcomed = new Set(this.#links.map(({ number }) => number));
    if (announced !== undefined) this.#announced = this.#announcedApp(announced, first);
    if (deployed !== undefined) this.#deployments = this.#deploymentsTo(deployed);
    this.#operations = operationHandlers({
      calls: this.#calls,
      workspace: enrolment.workspace,
      // An endpoint that is not served any more may have been private.
      isPrivate: (endpoint) => this.#apps.find(endpoint)?.settings.requiresProxyAuth ?? true,
      deployments: this.#deployments?.operations,
    });
  }

  async start(): Promise<RunningAgent> {
    const [first] = this.#links;
    await this.#deployments?.begin();
    // Said in the first hello, which frees what this box announced before.
    const started = this.#announced?.start() ?? first.announce([]);
    for (const link of this.#links) link.start();
    const refusal = await Promise.race([started, this.#refused.promise]).catch((error: unknown) => {
      if (error instanceof AgentRefused || error instanceof StartFailure) return error.message;
      throw error;
    });
    if (typeof refusal === "string") {
      await this.#close();
      throw new AgentRefused(refusal);
    }
    const announced = this.#announced;
    return {
      get urls() {
        return announced?.urls ?? [];
      },
      change: async (config, signal) => {
        if (announced === undefined) throw new Error("this agent brings no app along");
        await announced.change(config, signal);
      },
      drain: () => this.#drain(),
      close: () => this.#close(),
      refused: this.#refused.promise,
    };
  }

  #link(number: number): Link {
    const { links = 1, observer } = this.#options;
    return new Link({
      gateway: this.#gateway,
      number,
      links,
      incarnation: this.#gateway.incarnation,
      acceptor: (link) => this.#acceptor(link),
      onWelcome: (welcome) => this.#welcomed(number, welcome),
      log: observer.notice,
      onRefused: this.#refused.resolve,
    });
  }

  #announcedApp(config: AppConfig, link: Link): AnnouncedApp {
    const { enrolment, region = "", devSuffix } = this.#options;
    const { workspace, box } = enrolment;
    const announce: Link["announce"] = async (endpoints) => await link.announce(endpoints);
    return new AnnouncedApp(
      {
        apps: this.#apps,
        workspace,
        box,
        region,
        devSuffix,
        announce,
        secrets: secretsFrom(new GatewayClient(this.#gateway)),
      },
      config,
    );
  }

  #deploymentsTo(files: DeploymentFiles): Deployments {
    const { enrolment, region = "", observer } = this.#options;
    return new Deployments({
      files,
      apps: this.#apps,
      gateway: new GatewayClient(this.#gateway),
      usePython: this.#environments.use,
      box: enrolment.box,
      region,
      isAnnounced: (name) => this.#announced?.isCalled(name) === true,
      log: observer.notice,
    });
  }

  #welcomed(number: number, welcome: Welcome): void {
    const again = !this.#unwelcomed.delete(number);
    if (this.#unwelcomed.size === 0) this.#calls.onWelcomed();
    if (number !== 0) return;
    this.#deployments?.welcomed();
    if (!again) return;
    for (const line of this.#announced?.refusals(welcome) ?? [])
      this.#options.observer.notice(line);
  }

  #acceptor(link: Link): Acceptor {
    return {
      onOpen: (stream, text, body, end) => this.#open(link, stream, text, body, end),
      onAttach: (stream, text) => this.#calls.attach(stream, link, parseAttach(text)),
    };
  }

  #open(link: Link, stream: Stream, text: string, body: Uint8Array, end: boolean): StreamEvents {
    const head = parseOpenHead(text);
    if ("operation" in head) return serveOperation(head, { stream, body, end }, this.#operations);
    const served = this.#apps.find(head.endpoint);
    if (this.#draining || served === undefined) {
      const detail = this.#draining
        ? "the box is stopping"
        : // Containers start when the URLs are known: a moment after the first welcome.
          "the box does not serve this endpoint";
      stream.refuse({ code: "no_origin", detail, retryAfter: this.#draining ? 5 : 1 });
      return NO_EVENTS;
    }
    return this.#calls.open(stream, link, head, { body, end }, served.runner(link.number));
  }

  async #drain(): Promise<void> {
    this.#draining = true;
    this.#deployments?.close();
    await within(this.#apps.exitGracePeriod * SECOND_MS, this.#calls.idle());
    await this.#close();
  }

  async #close(): Promise<void> {
    this.#draining = true;
    this.#deployments?.close();
    const saved = this.#calls.close("the agent stops");
    await Promise.all([this.#environments.close(), this.#apps.close()]);
    await saved;
    for (const link of this.#links) link.stop();
    await this.#durable?.close();
  }
}

/** Everybody who asks within `COALESCE_MS` is called back together: one timer, not one per stream. */
function coalescer(): (callback: () => void) => void {
  let waiting: Set<() => void> | undefined;
  return (callback) => {
    if (waiting === undefined) {
      const group = (waiting = new Set());
      setTimeout(() => {
        waiting = undefined;
        for (const call of group) call();
      }, COALESCE_MS);
    }
    waiting.add(callback);
  };
}
