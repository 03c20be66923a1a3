/**
 * The control plane of a workspace's apps: it joins the records, the classes that decide about them, and the
 * alarm. A decision is durable before the control plane tells `Names` and the boxes. The alarm tells `Names`
 * again until it has heard, and acts on deadlines. A box that missed its message asks when it connects.
 */
import { ok, type Result } from "../../../base/result.ts";
import type { Refusal } from "../../../routing/wire/errors.ts";
import type { Assignments, BoxReport } from "../../../routing/wire/deployments.ts";
import type { Welcome } from "../../../routing/wire/messages.ts";
import type { PoolLease, PoolUses } from "../../../routing/wire/pool-leases.ts";
import type { BoxNews } from "../../contracts/link.ts";
import { notifyBox } from "../../contracts/stubs.ts";
import { publicScheme } from "../../../routing/names.ts";
import { type Env, poolLeaseMs } from "../../contracts/env.ts";
import { WorkspaceAlarm } from "./alarm.ts";
import { Announcements } from "./announcements.ts";
import {
  type AppView,
  type VersionView,
  type AppAddress,
  type NewDeployment,
  type NewScaling,
  type ScaledFunction,
  type VersionAddress,
  type Author,
} from "../../contracts/workspace/apps.ts";
import type { BoxLink, Greeting, RequestSender } from "../../contracts/workspace/boxes.ts";
import { type Page, type PageRequest } from "../../contracts/workspace/pages.ts";
import { appView, pageOfViews, versionView } from "./app-views.ts";
import { type App, AppRecords } from "./app-records.ts";
import { AppNames } from "./app-names.ts";
import { assignmentsOf, type Confidential } from "./assignments.ts";
import { BoxNotifier } from "./box-notifier.ts";
import type { BoxRegistry } from "./box-registry.ts";
import type { Control } from "./control.ts";
import { Deployments } from "./deployments.ts";
import { FormerBoxSets } from "./former-boxes.ts";
import { namesClient } from "./names-client.ts";
import { PoolShares } from "./pool-shares.ts";
import { Rollouts } from "./rollouts.ts";
import { Scalings } from "./scalings.ts";
import { VersionBoxes } from "./version-boxes.ts";
import { type Version, Versions } from "./versions.ts";

/** From an object's start until it looks for work that an earlier one left. */
const FIRST_LOOK_MS = 1_000;

/**
 * An agent that dials again, or the next one of an upgrade, is back by then. Boxes that refuse calls for its sake go on with
 * that, and the Worker tries those for longer (proxy/proxy-request.ts).
 */
const LINKS_BACK_MS = 2_000;

export interface ControlPlaneDeps {
  readonly env: Env;
  readonly state: DurableObjectState;
  readonly workspace: string;
  readonly registry: BoxRegistry;
  readonly confidential: Confidential;
  readonly suffixOf: (environment: string) => string | undefined;
  readonly unknownDomain: (domains: readonly string[]) => string | undefined;
  /** When another part of the workspace waits for the alarm. */
  readonly otherDue: () => number | undefined;
}

export class ControlPlane {
  readonly #env: Env;
  readonly #boxes: BoxRegistry;
  readonly #confidential: Confidential;
  readonly #control: Control;
  readonly #rollouts: Rollouts;
  readonly #deployments: Deployments;
  readonly #announcements: Announcements;
  readonly #shares: PoolShares;
  readonly #alarm: WorkspaceAlarm;

  constructor(deps: ControlPlaneDeps) {
    const { env, state, workspace, registry, confidential, suffixOf, unknownDomain } = deps;
    this.#env = env;
    this.#boxes = registry;
    this.#confidential = confidential;
    const { storage } = state;
    const names = namesClient(env);
    const notifier = new BoxNotifier(
      async (box, news) => await this.#tell(box, news),
      (work) => state.waitUntil(work),
    );
    this.#control = {
      workspace,
      baseDomain: env.POSTERN_BASE_DOMAIN,
      scheme: publicScheme(env.POSTERN_BASE_DOMAIN),
      storage,
      apps: new AppRecords(storage.sql),
      versions: new Versions(storage.sql),
      versionBoxes: new VersionBoxes(storage.sql),
      scalings: new Scalings(storage.sql),
      names: new AppNames(storage.sql, workspace, names),
      boxSets: new FormerBoxSets(storage.sql, (box) => registry.boxes.find(box) !== undefined),
      registry: names,
      boxes: registry.boxes,
      isConnected: async (box) => await this.#isConnected(box),
      suffixOf,
      unknownDomain,
      secretProblems: async (environment, names) =>
        (await confidential.secrets(environment, names)).problems,
      notify: (box) => notifier.notify(box, "refreshAssignments"),
      changed: () => this.changed(),
    };
    this.#shares = new PoolShares({
      storage,
      versions: this.#control.versions,
      scalings: this.#control.scalings,
      notify: (box) => notifier.notify(box, "refreshShares"),
      isConnected: (box) => registry.boxes.linksOf(box).length > 0,
      leaseMs: poolLeaseMs(env),
    });
    this.#rollouts = new Rollouts(this.#control);
    this.#deployments = new Deployments(this.#control, this.#rollouts);
    this.#announcements = new Announcements(
      this.#control,
      async (app) => await confidential.token(app),
      Date.now(),
    );
    this.#alarm = new WorkspaceAlarm(state, this.#control.names, (now) => [
      this.#rollouts.nextDue(now),
      this.#announcements.nextDue(),
      deps.otherDue(),
    ]);
    // The object may have ended before it told `Names` everything. On a full disk the alarm cannot be set, and an object
    // whose write fails ends together with its requests: those that woke it are answered before.
    setTimeout(() => this.changed(), FIRST_LOOK_MS);
  }

  async stage(deployment: NewDeployment): Promise<Result<VersionView, Refusal>> {
    return this.#view(await this.#deployments.stage(deployment));
  }

  async start(address: VersionAddress): Promise<Result<VersionView, Refusal>> {
    return this.#view(await this.#deployments.start(address));
  }

  abandon(address: VersionAddress): Result<undefined, Refusal> {
    return this.#deployments.abandon(address);
  }

  async rollback(
    address: AppAddress,
    to: number | undefined,
    by: Author,
  ): Promise<Result<VersionView, Refusal>> {
    return this.#view(await this.#deployments.rollback(address, to, by));
  }

  scale(scaling: NewScaling): Result<ScaledFunction, Refusal> {
    return this.#deployments.scale(scaling);
  }

  stop(address: AppAddress): Result<AppView, Refusal> {
    const app = this.#deployments.stop(address);
    return app.ok ? ok(appView(this.#control, app.value)) : app;
  }

  /** Ends every app of an environment, announced ones too. */
  stopAll(environment: string): void {
    const now = Date.now();
    for (const app of this.#control.apps.living(environment)) this.#rollouts.stop(app, now);
  }

  /** Whether any app of an environment lives. */
  hasApps(environment: string): boolean {
    return this.#control.apps.count(environment) > 0;
  }

  /** Whether a box serves an app of an environment without a deployment. */
  announces(box: string, environment: string): boolean {
    return this.#control.apps
      .living(environment)
      .some((app) => app.kind !== "deployed" && app.box === box);
  }

  app(address: AppAddress): AppView | undefined {
    const app = this.#control.apps.resolve(address);
    return app === undefined ? undefined : appView(this.#control, app);
  }

  apps(environment: string | undefined, page: PageRequest): Page<AppView> {
    const apps = this.#control.apps.list(environment, page);
    return pageOfViews(apps, (app: App) => appView(this.#control, app));
  }

  version(address: VersionAddress): Result<VersionView, Refusal> {
    const found = this.#deployments.find(address);
    return found.ok ? this.#view(ok(found.value.version)) : found;
  }

  versions(address: AppAddress, page: PageRequest): Page<VersionView> | undefined {
    const app = this.#control.apps.resolve(address);
    if (app === undefined) return undefined;
    const versions = this.#control.versions.list(app.id, page);
    return pageOfViews(versions, (version) => versionView(this.#control, version, Date.now()));
  }

  /** A link came up; undefined when its box is not enrolled any more. */
  async greet(greeting: Greeting): Promise<Welcome["endpoints"] | undefined> {
    const { box, incarnation, links, endpoints } = greeting;
    const wasConnected = this.#boxes.boxes.linksOf(box).length > 0;
    if (!this.#boxes.linkUp(greeting)) return undefined;
    if (!wasConnected) this.#shares.linksChanged(box);
    this.#rollouts.refreshPlaces(box);
    if (endpoints === undefined) return [];
    return await this.#announcements.announce({ box, incarnation, links, endpoints });
  }

  /** A link came up that cannot be noted; undefined when its box is not enrolled. Reads alone. */
  async recall({
    box,
    serial,
    incarnation,
    links,
    endpoints = [],
  }: Greeting): Promise<Welcome["endpoints"] | undefined> {
    if (!this.#boxes.isEnrolled(box, serial)) return undefined;
    return await this.#announcements.recall({ box, incarnation, links, endpoints });
  }

  /** A link went. @param isGoodbye its agent has ended, and said so */
  linkLost(link: BoxLink, isGoodbye: boolean): void {
    if (this.#boxes.linkLost(link)) this.#boxLost(link.box, isGoodbye);
  }

  /** A box is not the workspace's any more. */
  boxRevoked(box: string): void {
    this.#announcements.boxRevoked(box);
    this.#shares.forget(box, Date.now());
    this.#rollouts.refreshPlaces(box);
    this.#rollouts.judgeCandidates(box);
  }

  async assignments(box: string): Promise<Assignments> {
    return await assignmentsOf(this.#control, this.#confidential, box);
  }

  /** Takes a box's report, where that is its latest word. */
  report(box: string, report: BoxReport, sender: RequestSender): void {
    if (this.#control.boxes.isLatest(box, "report", sender)) this.#rollouts.report(box, report);
  }

  /** A box's shares of its pools; undefined where this is not its latest word. */
  poolShares(box: string, uses: PoolUses, sender: RequestSender): PoolLease | undefined {
    if (!this.#control.boxes.isLatest(box, "poolShares", sender)) return undefined;
    return this.#shares.lease(box, uses, Date.now());
  }

  async alarm(): Promise<void> {
    const now = Date.now();
    await this.#rollouts.lookAfter(now);
    await this.#announcements.lookAfter(now);
    await this.#alarm.lookAhead();
  }

  /** Something is to be told or to be looked after later. */
  changed(): void {
    this.#alarm.changed();
  }

  #view(version: Result<Version, Refusal>): Result<VersionView, Refusal> {
    return version.ok ? ok(versionView(this.#control, version.value, Date.now())) : version;
  }

  #boxLost(box: string, isGoodbye: boolean): void {
    if (isGoodbye) this.#shares.forget(box, Date.now());
    else setTimeout(() => this.#tellLost(box), LINKS_BACK_MS);
    this.#announcements.boxLost(box, isGoodbye, Date.now());
    this.#rollouts.judgeCandidates(box);
  }

  #tellLost(box: string): void {
    if (this.#boxes.boxes.linksOf(box).length === 0) this.#shares.linksChanged(box);
  }

  async #isConnected(box: string): Promise<boolean> {
    const wasConnected = this.#boxes.boxes.linksOf(box).length > 0;
    const isConnected = await this.#boxes.isConnected(box);
    if (wasConnected && !isConnected) this.#boxLost(box, false);
    return isConnected;
  }

  async #tell(name: string, news: BoxNews): Promise<void> {
    const box = this.#boxes.boxes.find(name);
    if (box === undefined || box.connectedAt === null) return;
    const place = { box: name, links: box.links };
    await notifyBox(this.#env, this.#control.workspace, place, news);
  }
}
