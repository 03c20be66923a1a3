/** A workspace's apps and their versions. Times are milliseconds of the epoch. */
import type { Result } from "../../../base/result.ts";
import type { Refusal } from "../../../routing/wire/errors.ts";
import type { Scaling, WholeScaling } from "../../../routing/wire/scaling.ts";
import type { AuthKind } from "../../../routing/wire/auth-settings.ts";
import type { AppKind } from "../../../routing/claims.ts";
import type { VersionContent, VersionState } from "../../../routing/wire/deployments.ts";
import type { VersionStatus } from "../../../api/version-status.ts";
import type { AppState } from "../../../api/app-states.ts";
import type { Page, PageRequest } from "./pages.ts";

/** How people and programs name an app. */
export interface AppAddress {
  /** A name, or an id. */
  readonly app: string;
  /** Says nothing where `app` is an id. */
  readonly environment: string;
}

export interface VersionAddress {
  readonly app: AppAddress;
  readonly version: number;
}

export interface Author {
  readonly id: string;
  readonly name: string;
}

/** Times are milliseconds of the epoch. */
export interface AppView {
  readonly id: string;
  readonly name: string;
  readonly environment: string;
  readonly kind: AppKind;
  readonly state: AppState;
  /** The one that serves. */
  readonly version: number | null;
  /** The one that is to. */
  readonly candidate: number | null;
  readonly endpoints: readonly EndpointView[];
  /** By function: settings that were changed since the version that serves was deployed. */
  readonly scaling: Readonly<Record<string, Scaling>>;
  /** Where the version is that serves, else the one that is to. */
  readonly boxes: readonly BoxView[];
  /** Why no box runs it, or one does not, else why its newest version failed; empty where nothing is wrong. */
  readonly lastError: string;
  readonly createdAt: number;
  readonly stoppedAt: number | null;
}

export interface EndpointView {
  readonly function: string;
  readonly url: string;
  readonly private: boolean;
  /** Who else may call it. */
  readonly auth: AuthKind[];
}

export interface VersionView {
  readonly version: number;
  readonly status: VersionStatus;
  /** Why it failed, or why no box runs it although it serves; empty otherwise. */
  readonly detail: string;
  readonly lines: readonly string[];
  readonly createdAt: number;
  readonly createdBy: Author;
  readonly tag: string;
  readonly commit: string;
  readonly rollbackOf: number | null;
  readonly endpoints: readonly EndpointView[];
  /** Changes since it was deployed, newest first. */
  readonly scalings: readonly ScalingView[];
  readonly boxes: readonly BoxView[];
}

/** A change of how many containers a function has. */
export interface ScalingView {
  readonly function: string;
  readonly change: Scaling;
  readonly createdAt: number;
  readonly createdBy: Author;
}

export interface BoxView {
  readonly name: string;
  readonly connected: boolean;
  /** Whether the version's code is on its disk; without code there is none to lack. */
  readonly hasCode: boolean;
  readonly state: VersionState | null;
  readonly detail: string;
}

export interface StagedContent {
  readonly content: VersionContent;
  /** The box that `postern deploy` runs on, if it is one. */
  readonly deployingBox: string | undefined;
  readonly tag: string;
  readonly commit: string;
  readonly by: Author;
}

export interface NewDeployment extends StagedContent {
  readonly app: AppAddress;
}

export interface NewScaling {
  readonly app: AppAddress;
  readonly function: string;
  /** Settings that are absent stay as they are. */
  readonly change: Scaling;
  readonly by: Author;
}

/** A function's settings, as they hold now. */
export interface ScaledFunction {
  readonly version: number;
  readonly function: string;
  readonly settings: WholeScaling;
}

export interface AppMethods {
  stageVersion(deployment: NewDeployment): Promise<Result<VersionView, Refusal>>;
  startVersion(address: VersionAddress): Promise<Result<VersionView, Refusal>>;
  /** Takes back a version that was not started. */
  abandonVersion(address: VersionAddress): Result<undefined, Refusal>;
  /** @param to an old version; undefined: the one that served before */
  rollbackApp(
    address: AppAddress,
    to: number | undefined,
    by: Author,
  ): Promise<Result<VersionView, Refusal>>;
  /** Changes how many containers a function has, in the version that serves, as long as that serves. */
  scaleFunction(scaling: NewScaling): Result<ScaledFunction, Refusal>;
  stopApp(address: AppAddress): Result<AppView, Refusal>;
  app(address: AppAddress): AppView | undefined;
  /**
   * Refused for an environment that never was, which is mistyped: of a deleted one the stopped apps are
   * shown. @param environment of which alone; undefined: of all
   */
  listApps(environment: string | undefined, page: PageRequest): Result<Page<AppView>, Refusal>;
  version(address: VersionAddress): Result<VersionView, Refusal>;
  listVersions(address: AppAddress, page: PageRequest): Page<VersionView> | undefined;
}
