/** Apps and their versions as the API shows them, and the paths where they are. */

import type { VersionState } from "../../routing/wire/deployments.ts";

export interface App {
  readonly id: string;
  readonly name: string;
  readonly environment: string;
  readonly state: string;
  /** The one that serves. */
  readonly version: number | null;
  readonly created_at: string;
  readonly stopped_at: string | null;
  readonly endpoints: readonly VersionUrl[];
}

/** Staged, candidate and serving follow on each other; a version ends as one of the others. */
export type VersionStatus =
  | "staged"
  | "candidate"
  | "serving"
  | "failed"
  | "superseded"
  | "replaced"
  | "stopped";

export interface Version {
  readonly version: number;
  readonly status: VersionStatus;
  /** Why it failed; empty otherwise. */
  readonly detail: string;
  /** What the failed container printed last. */
  readonly lines: readonly string[];
  readonly created_at: string;
  /** An API token's id and its name, which may be empty. */
  readonly created_by: string;
  readonly created_by_name: string;
  readonly commit: string;
  readonly tag: string;
  readonly rollback_of: number | null;
  readonly endpoints: readonly VersionUrl[];
  readonly boxes: readonly VersionBox[];
}

export interface VersionUrl {
  readonly function: string;
  readonly url: string;
  /** Callers need a proxy auth token. */
  readonly private: boolean;
}

export interface VersionBox {
  readonly name: string;
  readonly connected: boolean;
  /** Whether the version's code is on its disk. */
  readonly has_code: boolean;
  /** null until it has said. */
  readonly state: VersionState | null;
  readonly detail: string;
}

/** Whether an app is called by its id, which says its environment too. */
export function isAppId(app: string): boolean {
  return /^ap-[0-9a-f]{26}$/.test(app);
}

/** @param app its name, for which the environment is needed, or its id */
export function appPath(app: string, environment: string, ...below: readonly string[]): string {
  const path = ["/apps", encodeURIComponent(app), ...below].join("/");
  return `${path}?environment=${encodeURIComponent(environment)}`;
}
