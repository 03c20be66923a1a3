/**
 * Making a version: its boxes are chosen, its names reserved. An app is deployed whole or not at all: a
 * version that cannot have all of its names, its secrets, or a box for each of its endpoints is refused
 * before anything has changed.
 */
import { err, ok, type Err, type Result } from "../../../base/result.ts";
import type { Refusal } from "../../../routing/wire/errors.ts";
import { endpointName } from "../../../routing/names.ts";
import { placementOf } from "../../../routing/placement.ts";
import { authKindsOf } from "../../../routing/wire/auth-settings.ts";
import type { VersionContent, VersionEndpoint } from "../../../routing/wire/deployments.ts";
import type { EndpointSettings } from "../../../routing/wire/messages.ts";
import type { App } from "./app-records.ts";
import { claimantOf, type Control, heldRefusal, namesOfEndpoint } from "./control.ts";
import { type StagedContent } from "../../contracts/workspace/apps.ts";
import type { Rollouts } from "./rollouts.ts";
import type { PlacedEndpoint, Version } from "./versions.ts";

/** Of one environment, not counting stopped ones. */
export const MAX_APPS = 1_000;

/** A version that is not started within this time is forgotten, and its names are free. */
export const STAGED_MS = 10 * 60_000;

/** Boxes that a refusal names. */
const BOXES_NAMED = 10;

/** An app, whether it is there yet or not. */
export interface Target {
  readonly environment: string;
  readonly name: string;
}

interface Named {
  readonly endpoint: VersionEndpoint;
  readonly name: string;
}

export class Staging {
  readonly #control: Control;
  readonly #rollouts: Rollouts;

  constructor(control: Control, rollouts: Rollouts) {
    this.#control = control;
    this.#rollouts = rollouts;
  }

  /** @param rollbackOf the version whose content it is */
  async stage(
    deployment: StagedContent,
    target: Target,
    rollbackOf: number | null,
  ): Promise<Result<Version, Refusal>> {
    const { environment } = target;
    const { content } = deployment;
    const suffix = this.#control.suffixOf(environment);
    if (suffix === undefined) return noEnvironment(environment);
    const secrets = [...new Set(content.endpoints.flatMap((endpoint) => endpoint.secrets))];
    const problems = await this.#control.secretProblems(environment, secrets);
    if (problems.length > 0) return err({ code: "conflict", detail: problems.join("; ") });
    const named = await this.#named(content, { name: target.name, suffix });
    if (!named.ok) return named;
    const refused = this.#domainProblem(content);
    if (refused !== undefined) return refused;
    const placed = await this.#placed(deployment, target, named.value);
    if (!placed.ok) return placed;
    return await this.#insert(deployment, target, placed.value, rollbackOf);
  }

  /** Keeps names for an app, until a moment of the epoch; the refusal of one that it cannot have. */
  async reserve(
    app: App,
    endpoints: readonly PlacedEndpoint[],
    untilMs: number,
  ): Promise<Err<Refusal> | undefined> {
    const { registry } = this.#control;
    const claimant = claimantOf(this.#control, app);
    const names = endpoints.flatMap((endpoint) => namesOfEndpoint(this.#control, endpoint));
    const asked = names.map(async (name) => {
      const held = await registry.reserve(name, claimant, untilMs);
      return held === undefined ? undefined : heldRefusal(this.#control, name, held);
    });
    return (await Promise.all(asked)).find((refusal) => refusal !== undefined);
  }

  /** A custom domain that the workspace has not, or that two endpoints name. */
  #domainProblem({ endpoints }: VersionContent): Err<Refusal> | undefined {
    const domains = endpoints.flatMap(({ settings }) => settings.customDomains ?? []);
    const twice = domains.find((domain, index) => domains.indexOf(domain) !== index);
    if (twice !== undefined) {
      return err({ code: "conflict", detail: `custom_domains: ${twice} is named twice` });
    }
    const unknown = this.#control.unknownDomain(domains);
    if (unknown === undefined) return undefined;
    const detail = `custom_domains: the workspace has no domain ${unknown}; postern domain add ${unknown} adds it`;
    return err({ code: "conflict", detail });
  }

  /** Each endpoint's host name. */
  async #named(
    { endpoints }: VersionContent,
    { name: app, suffix }: { name: string; suffix: string },
  ): Promise<Result<Named[], Refusal>> {
    const { workspace } = this.#control;
    const named: Named[] = [];
    const taken = new Map<string, string>();
    for (const endpoint of endpoints) {
      const { function: functionName, label } = endpoint;
      const name = await endpointName({ workspace, suffix, app, function: functionName, label });
      if (!name.ok) return err({ code: "bad_request", detail: `${functionName}: ${name.error}` });
      const other = taken.get(name.value);
      if (other !== undefined) return namesakeRefusal(other, functionName, name.value);
      taken.set(name.value, functionName);
      named.push({ endpoint, name: name.value });
    }
    return ok(named);
  }

  /** Each endpoint with the boxes of its pool. */
  async #placed(
    { deployingBox }: StagedContent,
    { environment, name }: Target,
    named: readonly Named[],
  ): Promise<Result<PlacedEndpoint[], Refusal>> {
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
        return err({ code: "conflict", detail });
      }
      pools.set(endpoint.pool, placed);
    }
    const endpoints = named.map(({ endpoint, name: hostName }) => ({
      function: endpoint.function,
      pool: endpoint.pool,
      name: hostName,
      ...customDomainsOf(endpoint.settings),
      private: endpoint.settings.requiresProxyAuth ?? false,
      auth: authKindsOf(endpoint.settings.auth),
      boxes: pools.get(endpoint.pool) ?? [],
    }));
    return ok(endpoints);
  }

  /** Notes the version, and takes it back where a name of it is held. */
  async #insert(
    { content, tag, commit, by }: StagedContent,
    { environment, name }: Target,
    endpoints: readonly PlacedEndpoint[],
    rollbackOf: number | null,
  ): Promise<Result<Version, Refusal>> {
    const { storage, apps, versions, changed } = this.#control;
    const now = Date.now();
    this.#forgetStopped(now);
    const staged = storage.transactionSync((): Result<{ app: App; version: Version }, Refusal> => {
      const present = apps.deployed(environment, name);
      if (present === undefined && apps.count(environment) >= MAX_APPS) {
        const detail = `environment ${environment} has its ${MAX_APPS} apps; stop one first`;
        return err({ code: "conflict", detail });
      }
      const app = present ?? apps.createDeployed(environment, name, now);
      const version = apps.takeVersion(app.id);
      const chosen = { app: app.id, version, content, endpoints, by, tag, commit, rollbackOf };
      versions.insert(chosen, now, now + STAGED_MS);
      return ok({ app, version: versions.find(app.id, version) as Version });
    });
    if (!staged.ok) return staged;
    changed();
    const { app, version } = staged.value;
    const refused = await this.reserve(app, endpoints, now + STAGED_MS);
    if (refused === undefined) return ok(version);
    this.#rollouts.drop(version);
    return refused;
  }

  /** A box serves one app of a name. */
  #servesInPlace(box: string, { environment, name }: Target): boolean {
    return this.#control.apps
      .ofBox(box)
      .some(
        (app) => app.kind === "in_place" && app.name === name && app.environment === environment,
      );
  }

  /** Forgets apps that were stopped long ago. */
  #forgetStopped(now: number): void {
    const { storage, apps, versions, scalings } = this.#control;
    storage.transactionSync(() => {
      for (const { id } of apps.longStopped(now)) {
        versions.deleteAll(id);
        scalings.deleteAll(id);
        apps.delete(id);
      }
    });
  }
}

function nowhere(
  { function: functionName, boxes, region }: VersionEndpoint,
  all: readonly { name: string; region: string }[],
): Err<Refusal> {
  if (all.length === 0) {
    const detail = "the workspace has no box; start postern origin on one, or postern up here";
    return err({ code: "conflict", detail });
  }
  const rule = [
    ...(boxes === undefined ? [] : [`boxes = ${JSON.stringify(boxes)}`]),
    ...(region === undefined ? [] : [`region = ${JSON.stringify(region)}`]),
  ].join(" and ");
  const there = all
    .slice(0, BOXES_NAMED)
    .map(({ name, region: place }) => (place === "" ? name : `${name} (${place})`));
  const detail = `${functionName}: no box fits ${rule}; there are ${there.join(", ")}${all.length > BOXES_NAMED ? ", …" : ""}`;
  return err({ code: "conflict", detail });
}

function customDomainsOf({ customDomains }: EndpointSettings) {
  return customDomains === undefined ? {} : { customDomains };
}

function noEnvironment(environment: string): Err<Refusal> {
  const detail = `there is no environment ${environment}; postern environment create ${environment} makes it`;
  return err({ code: "not_found", detail });
}

/** Two functions of one app with the same name, which one of them can have. */
export function namesakeRefusal(other: string, functionName: string, name: string): Err<Refusal> {
  const detail = `${other} and ${functionName} would both be called ${name}; give one a label`;
  return err({ code: "conflict", detail });
}
