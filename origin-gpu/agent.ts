/**
 * The agent, and what other rooms may import of this one. It serves apps on this box through a gateway: a local one
 * that it brings along (`postern up`, `serve`), and those that are deployed to it. This file wires its parts together.
 */
import { rejectedBy } from "../base/runtime/rejected-by.ts";
import { within } from "../base/runtime/within.ts";
import { SECOND_MS } from "../base/units.ts";
import type { Welcome } from "../routing/wire/messages.ts";
import type { Stopping } from "./admitted-calls.ts";
import { type AgentFiles, openAgentFiles } from "./agent-files.ts";
import type { AgentOptions, DrainOptions, RunningAgent } from "./agent-options.ts";
import { AgentRefused } from "./apps/local-app.ts";
import { LocalApps } from "./apps/local-apps.ts";
import { AppRuntimes } from "./apps/app-runtimes.ts";
import { type DeploymentFiles, DeployedApps } from "./apps/deployed-apps.ts";
import { type LoopbackUrls, loopbackUrlsOf } from "./apps/loopback-urls.ts";
import { leasesFrom, type PoolLeases } from "./apps/pool-leases.ts";
import { secretsFrom } from "./apps/secrets.ts";
import type { CallRegistry } from "./calls/call-registry.ts";
import { Box } from "./core/box.ts";
import { BoxClaims } from "./endpoints/box-claims.ts";
import { isMemoryShort } from "./host-memory.ts";
import type { AppConfig } from "./config/app-config.ts";
import { StartFailure } from "./containers/container.ts";
import type { ContainerLogs } from "./logs/container-logs.ts";
import { PythonEnvironments } from "./environments/python-environments.ts";
import { EarlyStreams } from "./link/early-streams.ts";
import { CardWatch } from "./gpus/card-watch.ts";
import { GatewayAddress } from "./link/gateway-address.ts";
import { GatewayClient } from "./link/gateway-client.ts";
import { Link } from "./link/link.ts";
import { Welcomes } from "./link/welcomes.ts";
import { type OpenedCalls, openCalls } from "./open-calls.ts";
import { operationHandlers } from "./operations.ts";
import { streamAcceptor, type StreamTaker } from "./stream-acceptor.ts";

export type { AgentOptions, RunningAgent } from "./agent-options.ts";
export { AgentRefused, StartFailure };

/**
 * Starts the agent. Resolves when the gateway has welcomed it and accepted every announced endpoint, whose
 * containers start then, and what an earlier agent stored is read.
 * @param signal gives the start up: everything that it began is ended
 * @throws {AgentRefused} when the gateway refuses the box or a name, or there is not a secret
 * @throws the signal's reason when it aborts
 */
export async function startAgent(
  options: AgentOptions,
  signal?: AbortSignal,
): Promise<RunningAgent> {
  return await new Agent(options, await openAgentFiles(options)).start(signal);
}

/** Clients are told so. */
const STOPS = "the agent stops";

/** The bodies of the last calls are on their way when an agent leaves that is followed. */
const LAST_BODIES_MS = SECOND_MS;

class Agent {
  readonly #options: AgentOptions;
  readonly #gateway: GatewayAddress;
  readonly #environments: PythonEnvironments;
  readonly #claims = new BoxClaims(new Box(), isMemoryShort);
  readonly #leases: PoolLeases;
  readonly #cards: CardWatch | undefined;
  readonly #apps: AppRuntimes;
  readonly #loopbackUrls: LoopbackUrls;
  readonly #logs: ContainerLogs;
  readonly #links: readonly [Link, ...Link[]];
  readonly #welcomes: Welcomes;
  readonly #local: LocalApps;
  readonly #deployments: DeployedApps | undefined;
  readonly #refused = Promise.withResolvers<string>();
  /** Streams wait here until the stored calls are read: that may take seconds, and a dial need not wait. */
  readonly #streams = new EarlyStreams<StreamTaker>();
  #opening: Promise<OpenedCalls> | undefined;
  #stopping: Stopping;

  constructor(options: AgentOptions, { deployed, ...files }: AgentFiles) {
    const { gatewayUrl: url, connectTo, enrolment, announced, observer, links = 1 } = options;
    this.#options = options;
    this.#gateway = new GatewayAddress({ url, enrolment, ...(connectTo && { connectTo }) });
    this.#environments = new PythonEnvironments({
      directory: options.environmentsDirectory,
      inherited: process.env,
      user: options.appUser,
    });
    this.#logs = files.logs;
    this.#leases = leasesFrom(new GatewayClient(this.#gateway), observer.notice);
    this.#apps = new AppRuntimes({
      gateway: this.#gateway,
      ...files,
      claims: this.#claims,
      leases: this.#leases,
      usePython: this.#environments.use,
      user: options.appUser,
      observer,
      openTunnel: (environment, port) => this.#local.openTunnel(environment, port),
      onServing: () => this.#resume(this.#streams.taker?.calls),
    });
    const onCards: BoxClaims["setCards"] = (cards) => this.#claims.setCards(cards);
    const watch = CardWatch.begin({ observer, variables: process.env, onCards });
    if (watch.ok) this.#cards = watch.value;
    else this.#refused.resolve(watch.error);
    for (const one of files.left?.all ?? []) this.#claims.hold(one);
    this.#loopbackUrls = loopbackUrlsOf(options);
    const [first, ...others] = Array.from({ length: links }, (_, number) => this.#link(number));
    if (first === undefined) throw new Error("an agent has a link at least");
    this.#links = [first, ...others];
    this.#welcomes = new Welcomes(this.#links.map(({ number }) => number));
    this.#local = this.#localApps(announced, first);
    if (deployed !== undefined) this.#deployments = this.#deploymentsTo(deployed, files.left);
  }

  async start(signal?: AbortSignal): Promise<RunningAgent> {
    const refusal = this.#refused.promise.then((line) => {
      throw new AgentRefused(line);
    });
    const ready = Promise.all([this.#connect(signal), this.#openCalls()]);
    try {
      await Promise.race([ready, refusal, rejectedBy(signal)]);
    } catch (error) {
      await this.#close();
      throw error instanceof StartFailure ? new AgentRefused(error.message) : error;
    }
    const announced = this.#local.brought;
    return {
      get urls() {
        return announced?.urls ?? [];
      },
      get appToken() {
        return announced?.token ?? "";
      },
      change: (config, changeSignal) => this.#local.change(config, changeSignal),
      drain: (how) => this.#drain(how),
      close: () => this.#close(),
      refused: this.#refused.promise,
    };
  }

  /** Resolves when the gateway has answered what this box announces. */
  async #connect(signal?: AbortSignal): Promise<void> {
    // No request comes before the apps that are deployed here.
    await this.#deployments?.begin(signal);
    if (this.#stopping !== undefined) return;
    // Part of the first HELLO, which frees what this box announced before.
    const answered = this.#local.start();
    for (const link of this.#links) link.start();
    await answered;
  }

  /** Reads what an earlier agent stored; then the streams that have come meanwhile are taken. */
  async #openCalls(): Promise<void> {
    const { stateDirectory: directory, observer, enrolment, waitingHeadsBytes } = this.#options;
    this.#opening = openCalls({ directory, observer, waitingHeadsBytes });
    const { calls } = await this.#opening;
    if (this.#stopping !== undefined) return;
    const handlers = operationHandlers({
      calls,
      apps: this.#apps,
      logs: this.#logs,
      workspace: enrolment.workspace,
      isDraining: () => this.#stopping !== undefined,
      box: enrolment.box,
      deployments: this.#deployments?.operations,
    });
    this.#welcomes.tell(calls);
    // Before those that have come to this agent: they are older.
    this.#resume(calls);
    this.#streams.release({ calls, handlers });
  }

  /** Gives the calls that an earlier agent left waiting to the apps that are there. */
  #resume(calls: CallRegistry | undefined): void {
    calls?.resume((endpoint) => this.#apps.find(endpoint)?.runner(0));
  }

  #link(number: number): Link {
    const { links = 1, observer } = this.#options;
    const streams = this.#streams;
    const accepting = { streams, apps: this.#apps, stopping: () => this.#stopping };
    return new Link({
      gateway: this.#gateway,
      number,
      links,
      incarnation: this.#gateway.incarnation,
      acceptor: (link) => streamAcceptor(accepting, link),
      onWelcome: (welcome) => this.#onWelcome(number, welcome),
      observer,
      onRefused: this.#refused.resolve,
    });
  }

  #localApps(brought: AppConfig | undefined, link: Link): LocalApps {
    const { enrolment, region = "", devSuffix } = this.#options;
    const { workspace, box } = enrolment;
    return new LocalApps(
      {
        apps: this.#apps,
        workspace,
        box,
        region,
        devSuffix,
        announce: async (endpoints) => await link.announce(endpoints),
        secrets: secretsFrom(new GatewayClient(this.#gateway)),
        loopbackUrls: this.#loopbackUrls,
      },
      brought,
    );
  }

  #deploymentsTo(files: DeploymentFiles, left: AgentFiles["left"]): DeployedApps {
    const { enrolment, region = "", observer } = this.#options;
    return new DeployedApps({
      files,
      left,
      apps: this.#apps,
      leases: this.#leases,
      gateway: new GatewayClient(this.#gateway),
      usePython: this.#environments.use,
      box: enrolment.box,
      region,
      loopbackUrls: this.#loopbackUrls,
      isAnnounced: (name) => this.#local.brought?.isCalled(name) === true,
      observer,
    });
  }

  #onWelcome(number: number, welcome: Welcome): void {
    const isFirst = this.#welcomes.note(number, welcome);
    this.#welcomes.tell(this.#streams.taker?.calls);
    if (number !== 0) return;
    this.#deployments?.welcomed();
    if (isFirst) return;
    const lines = this.#local.brought?.refusals(welcome) ?? [];
    for (const line of lines) this.#options.observer.notice(line);
  }

  async #drain({ clients, containers }: DrainOptions = {}): Promise<void> {
    const isFollowed = containers === "leave";
    this.#stopping = isFollowed ? "followed" : "for_good";
    this.#deployments?.hold();
    if (isFollowed) this.#claims.handOver();
    const calls = this.#streams.taker?.calls;
    const graceMs = this.#apps.exitGracePeriod * SECOND_MS;
    if (calls !== undefined) await within(graceMs, calls.idle(clients, isFollowed));
    await this.#close(isFollowed);
    await (await this.#opening)?.leave();
  }

  async #close(isFollowed = false): Promise<void> {
    this.#stopping ??= "for_good";
    this.#deployments?.close();
    const calls = this.#streams.taker?.calls;
    if (isFollowed) calls?.endRunning(STOPS);
    const saved = isFollowed ? undefined : calls?.close(STOPS);
    const ended = isFollowed ? this.#apps.leave() : this.#apps.close();
    await Promise.all([this.#environments.close(), ended]);
    await this.#loopbackUrls.close();
    this.#cards?.close();
    await Promise.all([saved, this.#logs.close()]);
    if (isFollowed && calls !== undefined) await this.#leave(calls);
    for (const link of this.#links) link.stop({ isFollowed });
    const opened = await this.#opening?.catch(() => undefined);
    await opened?.close();
  }

  /** At the very end, so that all calls which came meanwhile are the next agent's, too. */
  async #leave(calls: CallRegistry): Promise<void> {
    this.#stopping = "leaving";
    await within(LAST_BODIES_MS, calls.idle("attached", true));
    await calls.close(STOPS);
  }
}
