/**
 * The operations of the API on deployed apps: stage a version (staging.ts), start it, abandon it, roll back to an
 * old one, stop the app.
 */
import { HOUR_MS, MINUTE_MS } from "../../../base/units.ts";
import { err, ok, type Err, type Result } from "../../../base/result.ts";
import type { Refusal } from "../../../routing/wire/errors.ts";
import { isObjectName, normalise } from "../../../routing/names.ts";
import type { VersionContent } from "../../../routing/wire/deployments.ts";
import { type App } from "./app-records.ts";
import { isAppId } from "../../../api/apps.ts";
import {
  type AppAddress,
  type Author,
  type NewDeployment,
  type NewScaling,
  type ScaledFunction,
  type VersionAddress,
} from "../../contracts/workspace/apps.ts";
import type { Control } from "./control.ts";
import type { Rollouts } from "./rollouts.ts";
import { scaleFunction } from "./scale-function.ts";
import { STAGED_MS, Staging, type Target } from "./staging.ts";
import type { Version } from "./versions.ts";

const DEFAULT_STARTUP_TIMEOUT_S = 300;

/** For a version's code to reach its boxes. */
const CODE_MS = 10 * MINUTE_MS;

/** An agent ends the making of an environment after this. */
const ENVIRONMENT_MS = HOUR_MS;

export class Deployments {
  readonly #control: Control;
  readonly #rollouts: Rollouts;
  readonly #staging: Staging;

  constructor(control: Control, rollouts: Rollouts) {
    this.#control = control;
    this.#rollouts = rollouts;
    this.#staging = new Staging(control, rollouts);
  }

  /** Numbers a version, chooses its boxes and reserves its names; nothing changes for anybody yet. */
  async stage(deployment: NewDeployment): Promise<Result<Version, Refusal>> {
    const target = this.#target(deployment.app);
    if (!target.ok) return target;
    return await this.#staging.stage(deployment, target.value, null);
  }

  /** Lets a staged version become the app's candidate; one that was started stays as it is. */
  async start({
    app: address,
    version: number,
  }: VersionAddress): Promise<Result<Version, Refusal>> {
    const found = this.find({ app: address, version: number });
    if (!found.ok) return found;
    const { app, version } = found.value;
    if (version.status === "candidate" || version.status === "serving") return ok(version);
    const newer = this.#newerThan(version);
    if (version.status !== "staged" || newer !== undefined) return notStaged(app, version, newer);
    const { storage, versions } = this.#control;
    const content = versions.content(app.id, number) as VersionContent;
    const deadline = Date.now() + startupTimeoutMs(content) + preparingMs(content);
    const refused = await this.#staging.reserve(app, version.endpoints, deadline + STAGED_MS);
    if (refused !== undefined) {
      this.#rollouts.drop(version);
      return refused;
    }
    return storage.transactionSync((): Result<Version, Refusal> => {
      // Others may have acted while the names were reserved.
      const present = versions.find(app.id, number);
      if (present?.status === "candidate" || present?.status === "serving") return ok(present);
      const overtaking = this.#newerThan(version);
      if (present?.status !== "staged" || overtaking !== undefined) {
        return notStaged(app, present ?? version, overtaking);
      }
      this.#rollouts.begin(present, Date.now(), deadline);
      return ok(versions.find(app.id, number) as Version);
    });
  }

  /** Takes back a version that was not started; one that is not there is taken back already. */
  abandon({ app: address, version: number }: VersionAddress): Result<undefined, Refusal> {
    const { apps, versions } = this.#control;
    const app = apps.resolve(address);
    const version = app === undefined ? undefined : versions.find(app.id, number);
    if (version === undefined) return ok(undefined);
    if (version.status !== "staged") {
      const detail = `v${number} was started: a newer deployment replaces it, or stop the app`;
      return err({ code: "conflict", detail });
    }
    this.#rollouts.drop(version);
    return ok(undefined);
  }

  /** Starts a new version with the content of an old one. @param to its number; undefined: the one before */
  async rollback(
    address: AppAddress,
    to: number | undefined,
    by: Author,
  ): Promise<Result<Version, Refusal>> {
    const found = this.deployed(address);
    if (!found.ok) return found;
    const app = found.value;
    const { versions, boxes } = this.#control;
    const serving = versions.newest(app.id, "serving");
    const old =
      to === undefined
        ? versions.newest(app.id, "replaced", serving?.version)
        : versions.find(app.id, to);
    if (old === undefined) {
      const which = to === undefined ? "version that served before" : `v${to}`;
      return err({ code: "not_found", detail: `app ${app.name} has no ${which}` });
    }
    if (old.status === "staged") {
      return err({ code: "conflict", detail: `v${old.version} was never started: deploy it` });
    }
    const content = versions.content(app.id, old.version);
    if (content === undefined) {
      const detail = `v${old.version} is too old: what it consisted of is forgotten; deploy it again`;
      return err({ code: "conflict", detail });
    }
    if (old.code !== "" && boxes.holdersOf(old.code).length === 0) {
      const detail = `no box has the code of v${old.version} any more; deploy it again from its directory`;
      return err({ code: "conflict", detail });
    }
    const { tag, commit } = old;
    const again = { content, deployingBox: undefined, tag, commit, by };
    const staged = await this.#staging.stage(again, app, old.version);
    if (!staged.ok) return staged;
    return await this.start({ app: { ...address, app: app.id }, version: staged.value.version });
  }

  scale({ app: address, ...scaling }: NewScaling): Result<ScaledFunction, Refusal> {
    const app = this.deployed(address);
    return app.ok ? scaleFunction(this.#control, app.value, scaling, Date.now()) : app;
  }

  /** Ends an app on all its boxes; one that has ended stays so. */
  stop(address: AppAddress): Result<App, Refusal> {
    const { apps } = this.#control;
    const app = apps.resolve(address);
    if (app === undefined) return noApp(address);
    if (app.stoppedAt !== null) return ok(app);
    const refused = announcedRefusal(app);
    if (refused !== undefined) return refused;
    this.#rollouts.stop(app, Date.now());
    return ok(apps.find(app.id) as App);
  }

  /** A deployed app that is not stopped. */
  deployed(address: AppAddress): Result<App, Refusal> {
    const app = this.#control.apps.resolve(address);
    if (app === undefined) return noApp(address);
    if (app.stoppedAt !== null) {
      return err({ code: "conflict", detail: `app ${app.name} was stopped: deploy it anew` });
    }
    return announcedRefusal(app) ?? ok(app);
  }

  find({
    app: address,
    version: number,
  }: VersionAddress): Result<{ app: App; version: Version }, Refusal> {
    const { apps, versions } = this.#control;
    const app = apps.resolve(address);
    if (app === undefined) return noApp(address);
    const version = versions.find(app.id, number);
    if (version !== undefined) return ok({ app, version });
    const detail = `app ${app.name} has no v${number}; one that is not started within 10 minutes is forgotten`;
    return err({ code: "not_found", detail });
  }

  /** The app that is deployed to: there already, or by this name. */
  #target({ app, environment }: AppAddress): Result<Target, Refusal> {
    if (isAppId(app)) return this.deployed({ app, environment });
    if (isObjectName(app) && normalise(app) !== "") return ok({ environment, name: app });
    const detail =
      'no app is called so: a name is 1 to 64 ASCII letters, digits, "-", "." and "_", not all of them signs';
    return err({ code: "not_found", detail });
  }

  /** A version of the same app that was made later and started before. */
  #newerThan({ app, version }: Version): Version | undefined {
    const { versions } = this.#control;
    return versions
      .active(app)
      .find((other) => other.version > version && other.status !== "staged");
  }
}

function startupTimeoutMs({ endpoints }: VersionContent): number {
  const seconds = endpoints.map(
    ({ startupTimeout }) => startupTimeout ?? DEFAULT_STARTUP_TIMEOUT_S,
  );
  return Math.max(...seconds) * 1_000;
}

/** A candidate's time beside its containers' own: for its code, and for a Python environment where it has one. */
function preparingMs({ config }: VersionContent): number {
  const tables: unknown[] = Array.isArray(config["endpoint"]) ? config["endpoint"] : [];
  const hasEnvironment = tables.some(
    (table) => typeof table === "object" && table !== null && "requirements" in table,
  );
  return CODE_MS + (hasEnvironment ? ENVIRONMENT_MS : 0);
}

function notStaged(
  { name }: App,
  { version, status }: Version,
  newer: Version | undefined,
): Err<Refusal> {
  const why = newer === undefined ? `is ${status}` : `is older than v${newer.version}`;
  return err({ code: "conflict", detail: `v${version} of ${name} ${why}: deploy it again` });
}

function announcedRefusal({ kind, name, box }: App): Err<Refusal> | undefined {
  if (kind === "deployed") return undefined;
  const command = kind === "in_place" ? "up" : "serve";
  const detail = `app ${name} is not deployed: postern ${command} on box ${box} serves it`;
  return err({ code: "conflict", detail });
}

function noApp({ app, environment }: AppAddress): Err<Refusal> {
  const where = isAppId(app) ? "" : ` in environment ${environment}`;
  return err({ code: "not_found", detail: `there is no app ${app}${where}` });
}
