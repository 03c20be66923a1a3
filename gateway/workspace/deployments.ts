/**
 * What people ask of deployed apps: a new version, its start, an old version again, an end. An app is
 * deployed whole or not at all: a version that cannot have all of its names, or a box for each of its
 * endpoints, is refused before anything has changed.
 */
import { endpointName, isObjectName } from "../../routing/names.ts";
import { placementOf } from "../../routing/placement.ts";
import type { VersionContent, VersionEndpoint } from "../../routing/wire/deployments.ts";
import { type App, type AppAddress, isAppId } from "./apps.ts";
import { claimantOf, type Control, heldRefusal, type Refusal } from "./control.ts";
import { PREPARING_MS, type Rollouts } from "./rollouts.ts";
import type { Author, PlacedEndpoint, Version } from "./versions.ts";

/** Of one environment, not counting stopped ones. */
export const MAX_APPS = 1_000;

/** A version that is not started within this time is forgotten, and its names are free. */
const STAGED_MS = 10 * 60_000;

const DEFAULT_STARTUP_TIMEOUT_S = 300;

export interface NewDeployment {
  readonly app: AppAddress;
  readonly content: VersionContent;
  /** The box that `postern deploy` runs on, if it is one. */
  readonly deployingBox: string | undefined;
  readonly tag: string;
  readonly commit: string;
  readonly by: Author;
}

export interface VersionAddress {
  readonly app: AppAddress;
  readonly version: number;
}

export class Deployments {
  readonly #control: Control;
  readonly #rollouts: Rollouts;

  constructor(control: Control, rollouts: Rollouts) {
    this.#control = control;
    this.#rollouts = rollouts;
  }

  /** Numbers a version, chooses its boxes and reserves its names; nothing changes for anybody yet. */
  async stage(deployment: NewDeployment): Promise<Version | Refusal> {
    const target = this.#target(deployment.app);
    if ("refused" in target) return target;
    return await this.#stage(deployment, target, null);
  }

  /** Lets a staged version become the app's candidate; one that was started stays as it is. */
  async start({ app: address, version: number }: VersionAddress): Promise<Version | Refusal> {
    const found = this.find({ app: address, version: number });
    if ("refused" in found) return found;
    const { app, version } = found;
    if (version.status === "candidate" || version.status === "serving") return version;
    const newer = this.#newerThan(version);
    if (version.status !== "staged" || newer !== undefined) return notStaged(app, version, newer);
    const { storage, versions } = this.#control;
    const content = versions.content(app.id, number) as VersionContent;
    const deadline = Date.now() + startupTimeoutMs(content) + PREPARING_MS;
    const refused = await this.#reserve(app, version.endpoints, deadline + STAGED_MS);
    if (refused !== undefined) {
      this.#rollouts.drop(version);
      return refused;
    }
    return storage.transactionSync(() => {
      // Others may have acted while the names were reserved.
      const present = versions.find(app.id, number);
      const overtaking = this.#newerThan(version);
      if (present?.status !== "staged" || overtaking !== undefined) {
        return notStaged(app, present ?? version, overtaking);
      }
      this.#rollouts.begin(present, Date.now(), deadline);
      return versions.find(app.id, number) as Version;
    });
  }

  /** Takes back a version that was not started; one that is not there is taken back already. */
  abandon({ app: address, version: number }: VersionAddress): Refusal | undefined {
    const { apps, versions } = this.#control;
    const app = apps.resolve(address);
    const version = app === undefined ? undefined : versions.find(app.id, number);
    if (version === undefined) return undefined;
    if (version.status !== "staged") {
      const detail = `v${number} was started: a newer deployment replaces it, or stop the app`;
      return { refused: "conflict", detail };
    }
    this.#rollouts.drop(version);
    return undefined;
  }

  /** Starts a new version with the content of an old one. @param to its number; undefined: the one before */
  async rollback(
    address: AppAddress,
    to: number | undefined,
    by: Author,
  ): Promise<Version | Refusal> {
    const app = this.deployed(address);
    if ("refused" in app) return app;
    const { versions, boxes } = this.#control;
    const serving = versions.newest(app.id, "serving");
    const old =
      to === undefined
        ? versions.newest(app.id, "replaced", serving?.version)
        : versions.find(app.id, to);
    if (old === undefined) {
      const which = to === undefined ? "version that served before" : `v${to}`;
      return { refused: "not_found", detail: `app ${app.name} has no ${which}` };
    }
    if (old.status === "staged") {
      return { refused: "conflict", detail: `v${old.version} was never started: deploy it` };
    }
    const content = versions.content(app.id, old.version);
    if (content === undefined) {
      const detail = `v${old.version} is too old: what it consisted of is forgotten; deploy it again`;
      return { refused: "conflict", detail };
    }
    if (old.code !== "" && boxes.holdersOf(old.code).length === 0) {
      const detail = `no box has the code of v${old.version} any more; deploy it again from its directory`;
      return { refused: "conflict", detail };
    }
    const { tag, commit } = old;
    const deployment = { app: address, content, deployingBox: undefined, tag, commit, by };
    const staged = await this.#stage(deployment, app, old.version);
    if ("refused" in staged) return staged;
    return await this.start({ app: { ...address, app: app.id }, version: staged.version });
  }

  /** Ends an app on all its boxes; one that has ended stays so. */
  stop(address: AppAddress): App | Refusal {
    const { apps } = this.#control;
    const app = apps.resolve(address);
    if (app === undefined) return noApp(address);
    if (app.stoppedAt !== null) return app;
    const refused = announcedRefusal(app);
    if (refused !== undefined) return refused;
    this.#rollouts.stop(app, Date.now());
    return apps.find(app.id) as App;
  }

  /** Forgets apps that were stopped long ago. */
  forgetStopped(now: number): void {
    const { storage, apps, versions } = this.#control;
    storage.transactionSync(() => {
      for (const { id } of apps.longStopped(now)) {
        versions.deleteAll(id);
        apps.delete(id);
      }
    });
  }

  /** A deployed app that is not stopped. */
  deployed(address: AppAddress): App | Refusal {
    const app = this.#control.apps.resolve(address);
    if (app === undefined) return noApp(address);
    if (app.stoppedAt !== null) {
      return { refused: "conflict", detail: `app ${app.name} was stopped: deploy it anew` };
    }
    return announcedRefusal(app) ?? app;
  }

  find({
    app: address,
    version: number,
  }: VersionAddress): { app: App; version: Version } | Refusal {
    const { apps, versions } = this.#control;
    const app = apps.resolve(address);
    if (app === undefined) return noApp(address);
    const version = versions.find(app.id, number);
    if (version !== undefined) return { app, version };
    const detail = `app ${app.name} has no v${number}; one that is not started within 10 minutes is forgotten`;
    return { refused: "not_found", detail };
  }

  /** The app that is deployed to: there already, or by this name. */
  #target({ app, environment }: AppAddress): Target | Refusal {
    if (isAppId(app)) return this.deployed({ app, environment });
    if (environment === undefined) {
      return { refused: "parameter_missing", detail: "query.environment: which one the app is in" };
    }
    if (isObjectName(app)) return { environment, name: app };
    const detail = 'an app\'s name is 1 to 64 ASCII letters, digits, "-", "." and "_"';
    return { refused: "parameter_invalid", detail };
  }

  async #stage(
    deployment: NewDeployment,
    target: Target,
    rollbackOf: number | null,
  ): Promise<Version | Refusal> {
    const { environment } = target;
    const { content } = deployment;
    const suffix = this.#control.suffixOf(environment);
    if (suffix === undefined) return noEnvironment(environment);
    const secrets = [...new Set(content.endpoints.flatMap((endpoint) => endpoint.secrets))];
    const problems = await this.#control.secretProblems(environment, secrets);
    if (problems.length > 0) return { refused: "conflict", detail: problems.join("; ") };
    const named = await this.#named(content, { name: target.name, suffix });
    if ("refused" in named) return named;
    const placed = await this.#placed(deployment, target, named);
    if ("refused" in placed) return placed;
    return await this.#insert(deployment, target, placed, rollbackOf);
  }

  /** Each endpoint's host name. */
  async #named(
    { endpoints }: VersionContent,
    { name: app, suffix }: { name: string; suffix: string },
  ): Promise<Named[] | Refusal> {
    const { workspace } = this.#control;
    const named: Named[] = [];
    const taken = new Map<string, string>();
    for (const endpoint of endpoints) {
      const { function: functionName, label } = endpoint;
      const name = await endpointName({ workspace, suffix, app, function: functionName, label });
      if (!name.ok) return { refused: "bad_request", detail: `${functionName}: ${name.reason}` };
      const other = taken.get(name.value);
      if (other !== undefined) {
        const detail = `${other} and ${functionName} would both be called ${name.value}; give one a label`;
        return { refused: "conflict", detail };
      }
      taken.set(name.value, functionName);
      named.push({ endpoint, name: name.value });
    }
    return named;
  }

  /** Each endpoint with the boxes of its pool. */
  async #placed(
    { deployingBox }: NewDeployment,
    { environment, name }: Target,
    named: readonly Named[],
  ): Promise<PlacedEndpoint[] | Refusal> {
    const { apps, versions, boxes, isConnected } = this.#control;
    const asked = boxes.lasting().map(async (box) => ({
      name: box.name,
      region: box.region,
      connected: box.connectedAt !== null && (await isConnected(box.name)),
    }));
    const all = await Promise.all(asked);
    const present = apps.deployed(environment, name);
    const serving = present === undefined ? undefined : versions.newest(present.id, "serving");
    const stays = serving?.endpoints.flatMap((endpoint) => endpoint.boxes) ?? [];
    const preferred = deployingBox === undefined ? stays : [deployingBox, ...stays];
    const pools = new Map<string, string[]>();
    for (const { endpoint } of named) {
      if (endpoint.function !== endpoint.pool) continue;
      const placed = placementOf(endpoint, all, preferred);
      if (placed.length === 0) return nowhere(endpoint, all);
      const namesake = placed.find((box) => this.#servesInPlace(box, { environment, name }));
      if (namesake !== undefined) {
        const detail = `box ${namesake} serves an app ${name} in place (postern up): end that first, or give this one another name`;
        return { refused: "conflict", detail };
      }
      pools.set(endpoint.pool, placed);
    }
    return named.map(({ endpoint, name: hostName }) => ({
      function: endpoint.function,
      pool: endpoint.pool,
      name: hostName,
      private: endpoint.settings.requiresProxyAuth ?? false,
      boxes: pools.get(endpoint.pool) ?? [],
    }));
  }

  /** Notes the version, and takes it back where a name of it is held. */
  async #insert(
    { content, tag, commit, by }: NewDeployment,
    { environment, name }: Target,
    endpoints: readonly PlacedEndpoint[],
    rollbackOf: number | null,
  ): Promise<Version | Refusal> {
    const { storage, apps, versions, changed } = this.#control;
    const now = Date.now();
    this.forgetStopped(now);
    const staged = storage.transactionSync((): Refusal | { app: App; version: Version } => {
      const present = apps.deployed(environment, name);
      if (present === undefined && apps.count(environment) >= MAX_APPS) {
        const detail = `environment ${environment} has its ${MAX_APPS} apps; stop one first`;
        return { refused: "conflict", detail };
      }
      const app = present ?? apps.createDeployed(environment, name, now);
      const version = apps.takeVersion(app.id);
      const chosen = { app: app.id, version, content, endpoints, by, tag, commit, rollbackOf };
      versions.insert(chosen, now, now + STAGED_MS);
      return { app, version: versions.find(app.id, version) as Version };
    });
    if ("refused" in staged) return staged;
    changed();
    const refused = await this.#reserve(staged.app, endpoints, now + STAGED_MS);
    if (refused === undefined) return staged.version;
    this.#rollouts.drop(staged.version);
    return refused;
  }

  async #reserve(
    app: App,
    endpoints: readonly PlacedEndpoint[],
    untilMs: number,
  ): Promise<Refusal | undefined> {
    const { registry } = this.#control;
    const claimant = claimantOf(this.#control, app);
    const asked = endpoints.map(async ({ name }) => {
      const held = await registry.reserve(name, claimant, untilMs);
      return held === undefined ? undefined : heldRefusal(this.#control, name, held);
    });
    return (await Promise.all(asked)).find((refusal) => refusal !== undefined);
  }

  /** A box serves one app of a name. */
  #servesInPlace(box: string, { environment, name }: Target): boolean {
    return this.#control.apps
      .ofBox(box)
      .some(
        (app) => app.kind === "in_place" && app.name === name && app.environment === environment,
      );
  }

  /** A version of the same app that was made later and started before. */
  #newerThan({ app, version }: Version): Version | undefined {
    const { versions } = this.#control;
    return versions
      .active(app)
      .find((other) => other.version > version && other.status !== "staged");
  }
}

/** An app, whether it is there yet or not. */
interface Target {
  readonly environment: string;
  readonly name: string;
}

interface Named {
  readonly endpoint: VersionEndpoint;
  readonly name: string;
}

function startupTimeoutMs({ endpoints }: VersionContent): number {
  const seconds = endpoints.map(
    ({ startupTimeout }) => startupTimeout ?? DEFAULT_STARTUP_TIMEOUT_S,
  );
  return Math.max(...seconds) * 1_000;
}

function nowhere(
  { function: functionName, boxes, region }: VersionEndpoint,
  all: readonly { name: string; region: string }[],
): Refusal {
  if (all.length === 0) {
    const detail = "the workspace has no box; start postern origin on one, or postern up here";
    return { refused: "conflict", detail };
  }
  const rule = [
    ...(boxes === undefined ? [] : [`boxes = ${JSON.stringify(boxes)}`]),
    ...(region === undefined ? [] : [`region = ${JSON.stringify(region)}`]),
  ].join(" and ");
  const there = all
    .slice(0, 10)
    .map(({ name, region: place }) => (place === "" ? name : `${name} (${place})`));
  const detail = `${functionName}: no box fits ${rule}; there are ${there.join(", ")}${all.length > 10 ? ", …" : ""}`;
  return { refused: "conflict", detail };
}

function notStaged(
  { name }: App,
  { version, status }: Version,
  newer: Version | undefined,
): Refusal {
  const why = newer === undefined ? `is ${status}` : `is older than v${newer.version}`;
  return { refused: "conflict", detail: `v${version} of ${name} ${why}: deploy it again` };
}

function announcedRefusal({ kind, name, box }: App): Refusal | undefined {
  if (kind === "deployed") return undefined;
  const command = kind === "in_place" ? "up" : "serve";
  const detail = `app ${name} is not deployed: postern ${command} on box ${box} serves it`;
  return { refused: "conflict", detail };
}

function noApp({ app, environment }: AppAddress): Refusal {
  const where = environment === undefined || isAppId(app) ? "" : ` in environment ${environment}`;
  return { refused: "not_found", detail: `there is no app ${app}${where}` };
}

function noEnvironment(environment: string): Refusal {
  const detail = `there is no environment ${environment}; postern environment create ${environment} makes it`;
  return { refused: "not_found", detail };
}
